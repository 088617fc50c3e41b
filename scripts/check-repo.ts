/** Rules of the repository as a program: pins, hosts, paths of a machine, secrets, libraries' lines. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const problems: string[] = [];
const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter(Boolean);

const packageJson = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
  string,
  Record<string, string>
>;
const dependencies = { ...packageJson["dependencies"], ...packageJson["devDependencies"] };
const architecture = existsSync(join(root, "ARCHITECTURE.md"))
  ? readFileSync(join(root, "ARCHITECTURE.md"), "utf8")
  : "";
for (const [name, version] of Object.entries(dependencies)) {
  if (!/^\d+\.\d+\.\d+$/.test(version))
    problems.push(`package.json: ${name} is not pinned exactly`);
  if (!architecture.includes(`\`${name}\``))
    problems.push(`ARCHITECTURE.md: no line about \`${name}\``);
}
if (readFileSync(join(root, "package-lock.json"), "utf8").includes('"resolved"')) {
  problems.push(
    "package-lock.json: names a registry host; npm install with this .npmrc leaves it out",
  );
}
// Spelled in two halves, so that this file does not refuse itself.
const forbidden: [RegExp, string][] = [
  [new RegExp(`(?:/wo${"rk"}/|/ro${"ot"}/|/home/[a-z]+/)`), "a path of one machine"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----/, "a private key"],
  [/\b(?:AKIA[0-9A-Z]{16}|sk-[A-Za-z0-9]{32,}|xai-[A-Za-z0-9]{32,})\b/, "a secret"],
  [new RegExp(`registry\\.npm${"js"}\\.org|registry\\.yarn${"pkg"}`), "a registry host"],
];
for (const file of tracked) {
  if (/\.(?:mp4|png|ico)$/.test(file) || !existsSync(join(root, file))) continue;
  const text = readFileSync(join(root, file), "utf8");
  for (const [pattern, what] of forbidden)
    if (pattern.test(text)) problems.push(`${file}: ${what}`);
}
const { SCHEMAS, writeSchema } = await import("../core/schemas.ts");
for (const [name, { file }] of Object.entries(SCHEMAS)) {
  const path = join(root, file);
  if (!existsSync(path) || readFileSync(path, "utf8") !== writeSchema(name)) {
    problems.push(`${file} is old: make schema`);
  }
}
for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
