import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ClipscribeError } from "../core/errors.ts";
import type { ErrorKind } from "../core/errors.ts";
import { fetchEach, notTried } from "./fetch-each.ts";

const urls = Array.from({ length: 10_000 }, (_, at) => `https://site.example/${at}`);
const { signal } = new AbortController();

function failing(kind: ErrorKind, isGood: (index: number) => boolean = () => false) {
  let tried = 0;
  const fetch = async (url: string, index: number): Promise<string> => {
    tried++;
    if (!isGood(index)) throw new ClipscribeError(kind, "it failed");
    return url;
  };
  return { fetch, tried: () => tried };
}

describe("a list that is fetched", () => {
  test("ends after ten failures in a row that look like the connection", async () => {
    const site = failing("transient");
    const { found, gaveUp } = await fetchEach(urls, site.fetch, signal);

    assert.equal(gaveUp?.kind, "transient");
    assert.ok(site.tried() <= 12, `${site.tried()}`);
    assert.equal(found.length, site.tried());
  });

  test("goes on where one in a few works, or the sites refuse one by one", async () => {
    const some = failing("transient", (index) => index % 8 === 0);
    assert.equal((await fetchEach(urls, some.fetch, signal)).gaveUp, undefined);
    assert.equal(some.tried(), urls.length);

    const refusing = failing("contract");
    assert.equal((await fetchEach(urls, refusing.fetch, signal)).gaveUp, undefined);
    assert.equal(refusing.tried(), urls.length);
  });

  test("ends at once where the program is at fault", async () => {
    const missing = failing("config");
    const { gaveUp } = await fetchEach(urls, missing.fetch, signal);

    assert.ok(missing.tried() <= 2);
    assert.match(
      notTried(9_998, gaveUp ?? assert.fail()).message,
      /^9998 addresses were not tried/,
    );
  });
});
