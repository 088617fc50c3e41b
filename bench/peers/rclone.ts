/** rclone as a peer: the same bucket, a clean environment, no configuration of its own. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export interface S3Place {
  endpoint: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
}

/** Nothing of AWS_…: rclone reads it, and 1.60 ends at once when it finds AWS_CA_BUNDLE. */
export function rcloneEnv(place: S3Place, home: string): Record<string, string> {
  return {
    HOME: home,
    RCLONE_CONFIG: join(home, "none.conf"),
    RCLONE_CONFIG_R2_TYPE: "s3",
    RCLONE_CONFIG_R2_PROVIDER: "Cloudflare",
    RCLONE_CONFIG_R2_ENDPOINT: place.endpoint,
    RCLONE_CONFIG_R2_ACCESS_KEY_ID: place.accessKeyId,
    RCLONE_CONFIG_R2_SECRET_ACCESS_KEY: place.secretAccessKey,
    RCLONE_CONFIG_R2_REGION: "auto",
    RCLONE_CONFIG_R2_NO_CHECK_BUCKET: "true",
  };
}

/** Debian's, and another where `RCLONE_CURRENT` names its program. */
export function findRclones(): { name: string; program: string }[] {
  const programs = ["rclone", process.env["RCLONE_CURRENT"] ?? ""].filter((each) => each !== "");
  return programs.map((program) => {
    const text = execFileSync(program, ["version"], { env: { PATH: process.env["PATH"] } });
    const version = /v(\d+\.\d+\.\d+)/.exec(text.toString())?.[1] ?? "unknown";
    return { name: `rclone ${version}`, program };
  });
}
