/** A folder with this project's stages and a pipeline.yaml of one's own, for tests and campaigns. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");

/** `edit` changes the project's own pipeline.yaml; returns the path of the new one. */
export function makeOwnProject(dir: string, edit: (pipeline: string) => string): string {
  for (const folder of ["stages", "core", "templates"]) {
    cpSync(join(ROOT, folder), join(dir, folder), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  const path = join(dir, "pipeline.yaml");
  writeFileSync(path, edit(readFileSync(join(ROOT, "pipeline.yaml"), "utf8")));
  return path;
}
