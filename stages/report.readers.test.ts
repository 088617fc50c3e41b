/** report.html as a person opens it: in Chromium, from file://, with a keyboard, in the dark. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { TestContext } from "node:test";

import type { Browser, Page } from "playwright-core";

import type { Intelligence } from "../core/intelligence.ts";
import type { Transcript } from "../core/transcript.ts";
import { openBrowser } from "../samples/open-browser.ts";
import { publishAll } from "../samples/publish-all.ts";

const WIDTHS = [320, 768, 1280];
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let browser: Browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser.close());

function transcriptOf(hostile = ""): Transcript {
  const lines = Array.from(
    { length: 40 },
    (_, at) => `This is sentence number ${at + 1} of the talk.`,
  );
  lines[0] = `Mayor Elena Vasquez paid $4.2 million. ${hostile}`;
  lines[1] = "Elena Vasquez leads the Harbor Bridge Authority in Oslo.";
  return {
    schema: 1,
    language: "en",
    duration: 200,
    provider: "captions:sidecar",
    model: null,
    segments: lines.map((text, at) => ({
      id: `s${String(at + 1).padStart(4, "0")}`,
      start: at * 5,
      end: at * 5 + 4.5,
      text,
      speaker: at % 3 === 0 ? `Ada ${hostile}` : "Bob",
      words: text.split(" ").map((word, place) => ({
        text: word,
        start: at * 5 + place * 0.5,
        end: at * 5 + place * 0.5 + 0.4,
      })),
      ...(at === 5 && { flags: ["silence" as const] }),
    })),
  };
}

/** So many names, each joined to one before it. */
function findings(count: number): Intelligence {
  const evidence = (at: number, verification: "verified" | "repaired" | "unverified") => ({
    quote: `sentence number ${at + 1} of the talk`,
    timestamp: at * 5,
    start: at * 5,
    end: at * 5 + 4.5,
    segment_ids: [`s${String(at + 1).padStart(4, "0")}`],
    speaker: "Bob",
    source: "xai",
    confidence: 0.9,
    verification,
  });
  const types = ["PERSON", "ORG", "GPE", "EVENT", "MONEY"] as const;
  const labels = ["verified", "verified", "repaired", "unverified"] as const;
  const names = Array.from({ length: count }, (_, at) => `Name ${at + 1} of the Long Kind`);
  return {
    schema: 1,
    provider: "xai",
    model: "grok-4.3",
    entities: names.map((name, at) => ({
      name,
      type: types[at % types.length] ?? "PERSON",
      confidence: 0.9,
      mention_count: 1 + (at % 7),
      aliases: at % 5 === 0 ? ["Alias"] : [],
      canonical_form: name,
      evidence: [evidence(2 + (at % 38), labels[at % labels.length] ?? "verified")],
      extraction_sources: ["xai"],
      temporal_distribution: [],
    })),
    relationships: names.slice(1).map((subject, at) => ({
      id: `r${String(at + 1).padStart(4, "0")}`,
      subject,
      predicate: "works with",
      object: names[Math.floor(at / 3)] ?? "",
      confidence: 0.8,
      evidence: [evidence(2 + (at % 38), "verified")],
      extraction_source: "xai",
      contradictions: at === 0 ? ["r0002"] : [],
    })),
    topics: ["Bridges", "Money"],
    topic_evidence: [{ name: "Bridges", evidence: [evidence(3, "verified")] }],
    key_points: ["A point"],
    key_moments: [
      { ...evidence(4, "verified"), description: "A turn", significance: "high" },
      { ...evidence(6, "unverified"), description: "A doubt", significance: "low" },
    ],
    summary: "They spoke.",
    summary_evidence: [evidence(3, "repaired")],
    sentiment: { overall: "calm", evidence: [evidence(3, "verified")] },
  };
}

/** Sentences of one voice each, five seconds long; the first of a text is quoted, and who is named says it. */
function oddPage(language: string, names: [string, string], texts: string[]) {
  const [who, where] = names;
  const transcript: Transcript = {
    schema: 1,
    language,
    duration: 60,
    provider: "mistral",
    model: "voxtral-mini-2602",
    segments: texts.map((text, at) => ({
      id: `s${String(at + 1).padStart(4, "0")}`,
      start: at * 5,
      end: at * 5 + 5,
      text,
      speaker: who,
    })),
  };
  const found = findings(2);
  const evidence = {
    ...(found.summary_evidence?.[0] ?? assert.fail()),
    quote: texts[0] ?? "",
    start: 0,
    end: 5,
    segment_ids: ["s0001"],
    speaker: who,
  };
  return {
    transcript,
    item: { title: texts.join(" ") },
    intelligence: {
      ...found,
      entities: found.entities.map((entity, at) => ({
        ...entity,
        name: names[at] ?? "",
        canonical_form: names[at] ?? "",
        evidence: [evidence],
      })),
      relationships: found.relationships.map((each) => ({
        ...each,
        subject: who,
        object: where,
        evidence: [evidence],
        contradictions: [],
      })),
      key_points: texts,
      key_moments: [{ ...evidence, description: texts[1] ?? "", significance: "high" }],
      summary: texts.join(" "),
      topics: [],
      topic_evidence: [],
    },
  };
}

const NOTHING: Intelligence = {
  schema: 1,
  provider: "offline-rules",
  model: null,
  entities: [],
  relationships: [],
  topics: [],
  key_points: [],
  key_moments: [],
  summary: null,
};
const SILENT: Transcript = {
  schema: 1,
  language: null,
  duration: 184,
  provider: "captions:sidecar",
  model: null,
  segments: [],
};

const ODD_PAGES: Record<string, () => Parameters<typeof publishAll>[1]> = {
  "text from right to left": () =>
    oddPage(
      "ar",
      ["أحمد الخطيب", "بيروت"],
      ["يعلن رئيس البلدية أحمد الخطيب ميزانية المدينة.", "سنبني جسرا جديدا في بيروت."],
    ),
  "text without spaces": () =>
    oddPage(
      "ja",
      ["田中花子", "東京都港区"],
      ["市長の田中花子は新しい橋の予算を発表しました。", "東京都港区に建設されます。"],
    ),
  "music, where nobody spoke": () => ({ transcript: SILENT, intelligence: NOTHING }),
  "words that nothing was found in, by nobody who is named": () => ({
    transcript: {
      ...SILENT,
      segments: [{ id: "s0001", start: 0, end: 4, text: "It rains.", speaker: null }],
    },
    intelligence: NOTHING,
  }),
};

interface Opened {
  page: Page;
  folder: string;
  problems: string[];
}

async function open(
  t: TestContext,
  options: Parameters<typeof publishAll>[1],
  about: { width?: number; dark?: boolean; sound?: boolean } = {},
): Promise<Opened> {
  const { folder } = await publishAll(t, options);
  if (about.sound === true) {
    const sine = ["-f", "lavfi", "-i", "sine=frequency=300:duration=200", "-c:a", "aac"];
    execFileSync("ffmpeg", ["-v", "error", ...sine, join(folder, "audio.m4a")]);
  }
  const context = await browser.newContext({
    viewport: { width: about.width ?? 1280, height: 900 },
    colorScheme: about.dark === true ? "dark" : "light",
    reducedMotion: "reduce",
  });
  t.after(() => context.close());
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("ERR_FILE_NOT_FOUND")) {
      problems.push(message.text());
    }
  });
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(`file://${join(folder, "report.html")}`);
  if (about.sound === true) {
    await waitUntil(page, `document.querySelector("#sound").readyState > 0`);
  }
  return { page, folder, problems };
}

/** What runs in the page is text: the types of a browser stay out of this program. */
const secondOf = (page: Page): Promise<number> =>
  page.evaluate<number>(`document.querySelector("#sound").currentTime`);
async function waitForSecond(page: Page, from: number): Promise<void> {
  const at = `document.querySelector("#sound").currentTime`;
  await waitUntil(page, `${at} >= ${from} && ${at} < ${from + 2.5}`);
}

/** Playwright's own waiting evaluates text in the page once it has to wait, which the page's policy forbids. */
async function waitUntil(page: Page, condition: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await page.evaluate<boolean>(condition))) {
    assert.ok(performance.now() < deadline, `never true: ${condition}`);
    await page.waitForTimeout(20);
  }
}

describe("report.html in Chromium, from file://", () => {
  test("a click on a quote, a word, a mark or a hit goes to its second, and the line is lit", async (t) => {
    const { page, problems } = await open(
      t,
      { transcript: transcriptOf(), intelligence: findings(10) },
      { sound: true },
    );

    await page.click("#moments a[data-t]");
    await waitForSecond(page, 20);
    await page.waitForSelector("#s0005.now[aria-current=true]");

    // The seventh word of the third sentence begins at 10 + 6 × 0.5 s.
    const place = await page.evaluate<{ x: number; y: number }>(`(() => {
      const text = document.querySelector("#s0003 .said").firstChild;
      document.querySelector("#s0003").scrollIntoView({ block: "center" });
      const range = new Range();
      const at = text.data.indexOf("talk");
      range.setStart(text, at);
      range.setEnd(text, at + 4);
      const { x, y, width, height } = range.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    })()`);
    await page.mouse.click(place.x, place.y);
    await waitForSecond(page, 13.5);

    await page.fill("#find", "NUMBER 30");
    assert.match((await page.textContent("#found")) ?? "", /^1 place/);
    await page.click("#hits a");
    await waitForSecond(page, 145);
    assert.ok((await secondOf(page)) >= 145);
    assert.deepEqual(problems, []);
  });

  test("a click on a quote's own words, in a moment or a card, goes to its second, and the timeline shows it", async (t) => {
    const { page, problems } = await open(
      t,
      { transcript: transcriptOf(), intelligence: findings(10) },
      { sound: true },
    );

    await page.click("#moments blockquote p >> nth=0");
    await waitForSecond(page, 20);
    await page.click("#name-2 summary");
    await page.click("#name-2 .quote", { position: { x: 200, y: 10 } });
    await waitForSecond(page, 15);
    const head = await page.evaluate<number>(
      `Number(document.querySelector(".strip .head").getAttribute("x"))`,
    );
    assert.ok(head >= 7.5 && head < 9, `${head} % of 200 s`);
    await page.click("#back");
    await waitForSecond(page, 10);

    // What nobody said has no second to go to.
    await page.click("#moments .unverified >> nth=0");
    assert.ok((await secondOf(page)) < 20);
    assert.deepEqual(problems, []);
  });

  test("words without spaces between them have their seconds, too", async (t) => {
    const words = ["市長", "は", "橋", "の", "予算", "を", "発表", "した", "。"];
    const timed = words.map((text, at) => ({ text, start: 50 + at * 2, end: 52 + at * 2 }));
    const said = { id: "s0001", start: 50, end: 68, text: words.join(""), speaker: null };
    const transcript: Transcript = {
      ...SILENT,
      language: "ja",
      segments: [{ ...said, words: timed }],
    };
    const { page } = await open(t, { transcript, intelligence: NOTHING }, { sound: true });

    const place = await page.evaluate<{ x: number; y: number }>(`(() => {
      const range = new Range();
      const text = document.querySelector("#s0001 .said").firstChild;
      range.setStart(text, 5);
      range.setEnd(text, 7);
      const { x, y, width, height } = range.getBoundingClientRect();
      return { x: x + width / 2 + 2, y: y + height / 2 };
    })()`);
    await page.mouse.click(place.x, place.y);

    // The fifth word: 予算.
    await waitForSecond(page, 58);
  });

  test("what is unverified is marked wherever it stands: card, graph, summary; so is a doubtful passage that is quoted", async (t) => {
    const found = findings(10);
    const [unsaid] = found.entities[3]?.evidence ?? [];
    const [ofSilence] = found.entities[1]?.evidence ?? [];
    assert.ok(unsaid?.verification === "unverified" && ofSilence !== undefined);
    const { page } = await open(t, {
      transcript: transcriptOf(),
      intelligence: {
        ...found,
        relationships: [],
        summary_evidence: [unsaid],
        topic_evidence: [{ name: "Money", evidence: [unsaid] }],
        key_points: [],
        sentiment: { overall: "calm", evidence: [{ ...ofSilence, segment_ids: ["s0006"] }] },
      },
    });

    assert.match((await page.textContent("#name-4 summary")) ?? "", /unverified/);
    assert.doesNotMatch((await page.textContent("#name-2 summary")) ?? "", /unverified/);
    const drawn = page.locator(".graph .node.unverified");
    assert.deepEqual(await drawn.evaluateAll((all) => all.map((each) => each.textContent)), [
      "Name 4 of the Long Kind (EVENT, unverified)Name 4 of the Long Kind",
      "Name 8 of the Long Kind (GPE, unverified)Name 8 of the Long Kind",
    ]);
    assert.match((await page.textContent("#summary .lead")) ?? "", /no quote supports it/);
    assert.match((await page.textContent("#summary .topics")) ?? "", /Money.*unverified/);
    assert.match((await page.textContent("#summary > .quotes")) ?? "", /nothing is to be heard/);
    assert.match((await page.textContent(".facts")) ?? "", /\? \d+ unverified/);
  });

  test("every action has a key: quotes, search, cards, zoom, the player and its file", async (t) => {
    const { page } = await open(
      t,
      { transcript: transcriptOf(), intelligence: findings(10) },
      { sound: true },
    );
    const reached = new Set<string>();
    for (let presses = 0; presses < 400; presses++) {
      await page.keyboard.press("Tab");
      const focus = await page.evaluate<{ name: string; isVisible: boolean } | null>(`(() => {
        const element = document.activeElement;
        if (element === null || element === document.body) return null;
        const target = element.id === "open" ? element.nextElementSibling : element;
        const { outlineStyle, outlineWidth } = getComputedStyle(target);
        const name = element.id || element.dataset.zoom || element.className || element.tagName;
        return { name, isVisible: outlineStyle !== "none" && outlineWidth !== "0px" };
      })()`);
      if (focus === null) break;
      assert.ok(focus.isVisible, `no visible focus on ${focus.name}`);
      reached.add(focus.name);
    }

    for (const name of [
      "clock",
      "find",
      "sound",
      "follow",
      "open",
      "SUMMARY",
      "1.25",
      "canvas",
      "label",
      "back",
    ]) {
      assert.ok(reached.has(name), `${name}: ${[...reached].join(" ")}`);
    }
    await page.focus("#moments a[data-t]");
    await page.keyboard.press("Enter");
    await waitForSecond(page, 20);
    await page.focus("#name-1 summary");
    await page.keyboard.press("Enter");
    assert.ok(await page.evaluate(`document.querySelector("#name-1").open`));
  });

  test("a person's own video replaces the sound that lies beside it", async (t) => {
    const { page, folder } = await open(
      t,
      { transcript: transcriptOf(), intelligence: findings(10) },
      { sound: true },
    );

    await page.setInputFiles("#open", join(folder, "audio.m4a"));
    await page.click("#moments a[data-t]");
    await waitUntil(page, `document.querySelector("#picture").currentTime >= 20`);

    assert.ok(await page.isHidden("#sound"));
    assert.ok(await page.isVisible("#picture"));
  });

  test("without the sound beside it, it says so and the words are still found", async (t) => {
    const { page, problems } = await open(t, {
      transcript: transcriptOf(),
      intelligence: findings(10),
      lacks: [{ stage: "intelligence", why: "no findings for 00:10–00:20: no answer" }],
    });

    await waitUntil(
      page,
      `document.querySelector("#player-note").textContent.includes("audio.m4a is not beside")`,
    );
    assert.match((await page.textContent(".lacks")) ?? "", /no findings for 00:10–00:20/);
    assert.match((await page.textContent("#s0006")) ?? "", /nothing is to be heard/);
    assert.equal(await page.locator("#moments .unverified").count(), 1);
    assert.equal(await page.locator("#moments li:has(.unverified) a").count(), 0);
    assert.deepEqual(problems, []);
  });

  test("hostile titles, names and words run nothing and reach nobody", async (t) => {
    let requests = 0;
    const server = createServer((_request, response) => {
      requests++;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const host = `http://127.0.0.1:${port}`;
    const hostile = `<svg onload="document.title='pwned'"><img src="${host}/x"><script>document.title='pwned';fetch('${host}')</script>{{ csp }}"' onmouseover='1' ]]> --> </style></script>`;

    const { page } = await open(t, {
      transcript: transcriptOf(hostile),
      item: {
        title: hostile,
        url: "javascript:alert(1)",
        file_name: `${hostile}.mp4`,
        channel: hostile,
      },
    });
    await page.waitForTimeout(300);

    assert.notEqual(await page.title(), "pwned");
    assert.equal(await page.locator('a[href^="javascript:"], main img, main script').count(), 0);
    assert.equal(requests, 0);
    assert.match((await page.textContent("h1")) ?? "", /<svg onload/);
  });

  for (const names of [10, 200]) {
    test(`axe finds nothing, and nothing overflows, with ${names} names at three widths in both schemes`, async (t) => {
      for (const width of WIDTHS) {
        for (const dark of [false, true]) {
          const { page } = await open(
            t,
            { transcript: transcriptOf(), intelligence: findings(names) },
            { width, dark },
          );
          // Closed cards count as well: what they hold must be good when they are opened.
          await page.evaluate(
            `for (const each of document.querySelectorAll("details")) each.open = true`,
          );
          await page.fill("#find", "sentence");
          const result = await runAxe(page);
          assert.deepEqual(result, [], `${names} names, ${width} px, ${dark ? "dark" : "light"}`);
          const overflow = await page.evaluate<number>(
            `document.documentElement.scrollWidth - innerWidth`,
          );
          assert.ok(overflow <= 0, `${width} px: ${overflow} px too wide`);
        }
      }
    });
  }

  for (const [kind, about] of Object.entries(ODD_PAGES)) {
    test(`a page of ${kind} is whole: axe finds nothing, nothing overflows, times read from the left`, async (t) => {
      for (const width of WIDTHS) {
        const { page, problems } = await open(t, about(), { width, dark: width === 768 });

        assert.deepEqual(await runAxe(page), [], `${width} px`);
        const overflow = await page.evaluate<number>(
          `document.documentElement.scrollWidth - innerWidth`,
        );
        assert.ok(overflow <= 0, `${width} px: ${overflow} px too wide`);
        const directions = await page.evaluate<string[]>(
          `[...new Set([...document.querySelectorAll(".clock")].map((each) => getComputedStyle(each).direction))]`,
        );
        assert.ok(directions.every((direction) => direction === "ltr"));
        assert.deepEqual(problems, []);
      }
    });
  }

  test("two hundred names are drawn so that they can be read: no label covers another", async (t) => {
    const { page } = await open(t, { transcript: transcriptOf(), intelligence: findings(200) });

    const { labels, covered, height } = await page.evaluate<Record<string, number>>(`(() => {
      const texts = [...document.querySelectorAll(".graph .node text")];
      const boxes = texts.map((text) => text.getBoundingClientRect());
      const isOver = (a, b) =>
        a.left < b.right - 2 && b.left < a.right - 2 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
      const pairs = boxes.flatMap((a, at) => boxes.slice(at + 1).filter((b) => isOver(a, b)));
      return { labels: boxes.length, covered: pairs.length, height: boxes[0].height };
    })()`);

    assert.equal(labels, 200);
    assert.equal(covered, 0);
    assert.ok((height ?? 0) >= 12, `a label is ${height} px high`);
  });
});

interface AxeViolation {
  id: string;
  nodes: { html: string }[];
}

async function runAxe(page: Page): Promise<string[]> {
  // The page's own policy refuses foreign scripts: axe comes in as the debugger's.
  await page.evaluate(await readFile(AXE, "utf8"));
  const violations = await page.evaluate<AxeViolation[]>(
    `axe.run(document, { resultTypes: ["violations"] }).then((result) => result.violations)`,
  );
  return violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`,
  );
}
