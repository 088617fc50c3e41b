/** The package's own types import without extensions, which `nodenext` does not resolve. */
declare module "media-captions" {
  export interface ParsedCue {
    startTime: number;
    endTime: number;
    text: string;
  }
  export function parseText(
    text: string,
    options: { type: "vtt" | "srt" | "ssa"; strict: boolean },
  ): Promise<{ cues: ParsedCue[]; errors: Error[] }>;
}
