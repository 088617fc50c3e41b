/** What a runner tells whoever watches it: the progress lines of `clipscribe run`, and tests. */
import type { ErrorRecord } from "../core/errors.ts";
import type { ItemStatus, ManifestRef, StageRecord } from "../core/records.ts";

interface AboutItem {
  job_id: string;
  item_id: string;
  run: number;
}

export type RunnerEvent =
  | (AboutItem & { type: "item-claimed"; stages: string[] })
  | (AboutItem & { type: "stage-started"; stage: string; why: string })
  | (AboutItem & { type: "stage-progress"; stage: string; fraction: number; note: string })
  | (AboutItem & {
      type: "stage-ended";
      stage: string;
      state: StageRecord["state"];
      why: string;
      /** The model that answered, as `provider/model`; null where none was asked. */
      by: string | null;
      seconds: number;
      cost_usd: number;
      error: ErrorRecord | null;
    })
  | (AboutItem & {
      type: "stage-retry";
      stage: string;
      attempt: number;
      in_ms: number;
      why: string;
      error: ErrorRecord;
    })
  /** Its ticket could not be taken on or finished now; it stays for the next run. */
  | (AboutItem & { type: "item-troubled"; error: ErrorRecord })
  | (AboutItem & {
      type: "item-ended";
      status: ItemStatus;
      cost_usd: number;
      manifest: ManifestRef | null;
      error: ErrorRecord | null;
    });

export type RunnerListener = (event: RunnerEvent) => void;
