/** Whether anybody would look at the picture of a video: else its sound is enough to download. */
import type { CheckedPipeline } from "./pipeline.ts";

/**
 * A stage that reads the source sees all of it, unless its contract says that sound is enough. So a
 * stage of one's own gets the picture without having to know of this.
 */
export function needsPicture({ stages }: Pick<CheckedPipeline, "stages">): boolean {
  return stages.some(({ contract, inputs }) => {
    const readsSource = Object.values(inputs).some(
      (input) => input.from === "built-in" && input.name === "source",
    );
    return readsSource && contract.needs?.sourceSound !== true;
  });
}

/** Captions that the pipeline prefers, best first: the `languages` of whatever reads sidecars. */
export function captionLanguages({ stages }: Pick<CheckedPipeline, "stages">): string[] {
  const readers = stages.filter(({ inputs }) =>
    Object.values(inputs).some((input) => input.from === "built-in" && input.name === "sidecars"),
  );
  const wanted = readers.flatMap(({ params }) => {
    const { languages } = params;
    return Array.isArray(languages) ? languages : [];
  });
  return [...new Set(wanted.filter((each) => typeof each === "string"))];
}
