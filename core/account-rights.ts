/** The least that each token has to be allowed, in the words of Cloudflare's dashboard. */
import type { WantedAccount } from "./account-wanted.ts";

export interface TokenRights {
  who: string;
  /** Where it is made, and of what kind it is. */
  made: string;
  rights: string[];
  settings: string[];
}

export function leastRights({ bucket, accountId, jurisdiction }: WantedAccount): TokenRights[] {
  const account = `account ${accountId}`;
  return [
    {
      who: "setup (`clipscribe cloud`); delete it when you are done",
      made: "Manage account, API tokens, custom token",
      rights: [
        "Account · Workers R2 Storage: Edit",
        "Account · Queues: Edit",
        `limited to ${account}`,
      ],
      settings: ["CLOUDFLARE_API_TOKEN, while you set up"],
    },
    {
      who: "each runner: the bucket's objects",
      made: "R2, manage API tokens",
      rights: [
        "Object Read & Write",
        `limited to the bucket ${bucket}${jurisdiction === "default" ? "" : ` (${jurisdiction})`}`,
      ],
      settings: ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"],
    },
    {
      who: "each runner: the queues",
      made: "Manage account, API tokens, custom token",
      rights: ["Account · Queues: Edit", `limited to ${account}`],
      settings: ["CLOUDFLARE_API_TOKEN"],
    },
    {
      who: "each laptop",
      made: "on a server, for hours and one user: `clipscribe cloud credentials --user NAME`",
      rights: ["no token of its own"],
      settings: ["CLIPSCRIBE_CREDENTIALS_COMMAND"],
    },
  ];
}
