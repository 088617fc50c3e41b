import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { hasKind } from "../core/errors.ts";
import { escapeMarkdown } from "../core/escape-text.ts";
import { drawGraph } from "./report/graph-svg.ts";
import { formatSpan, linkTo } from "./report/links.ts";
import { contentPolicy, renderTemplate } from "./report/render-template.ts";

describe("links to a second", () => {
  test("YouTube gets t=, other pages and the player a media fragment", () => {
    assert.equal(
      linkTo("https://www.youtube.com/watch?v=abc", null, 751.4, 764),
      "https://www.youtube.com/watch?v=abc&t=751s",
    );
    assert.equal(linkTo("https://youtu.be/abc", null, 5, 6), "https://youtu.be/abc?t=5s");
    assert.equal(
      linkTo("https://example.org/v.mp4", null, 751.4, 763.2),
      "https://example.org/v.mp4#t=751,764",
    );
    assert.equal(linkTo(null, "audio.m4a", 751, 764), "audio.m4a#t=751,764");
    assert.equal(linkTo(null, null, 1, 2), null);
  });

  test("only web addresses become links", () => {
    assert.equal(linkTo("javascript:alert(1)", null, 1, 2), null);
    assert.equal(linkTo("file:///etc/passwd", "audio.m4a", 1, 2), "audio.m4a#t=1,2");
    assert.equal(formatSpan(751.9, 764), "00:12:31–00:12:44");
  });
});

describe("templates", () => {
  test("data is text: no tag of a page, no syntax of a template", async () => {
    const title = `<script>alert(1)</script>{{ 1 | plus: 1 }}`;

    const html = await renderTemplate("<p>{{ title }}</p>", { title }, "html");

    assert.equal(html, "<p>&lt;script&gt;alert(1)&lt;/script&gt;{{ 1 | plus: 1 }}</p>");
  });

  test("in Markdown no text becomes a link, an image, HTML, a heading or a list", async () => {
    const text = fc.array(
      fc.constantFrom(
        "[a](http://x)",
        "![i](y)",
        "<b>",
        "# h",
        "\n\n- item",
        "`c`",
        "**b**",
        "| t |",
        "https://evil.example",
        "&lt;",
        "plain",
      ),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(text, (parts) => {
        const escaped = escapeMarkdown(parts.join(" "));

        assert.doesNotMatch(escaped, /(?<!\\)[[\]<>`*#|]/);
        assert.doesNotMatch(escaped, /https:\/\/|\n\n|&(?!amp;)/);
      }),
    );
  });

  test("in Markdown a number is a number, and a list's beginning is text", () => {
    assert.equal(escapeMarkdown("45.5 %"), "45.5 %");
    assert.equal(
      escapeMarkdown("1. May\n2) June\n-5 degrees"),
      "1\\. May\n2\\) June\n\\-5 degrees",
    );
  });

  test("a broken template and one that asks for files are refused with the reason", async () => {
    await assert.rejects(renderTemplate("{% if %}{{", {}, "html"), hasKind("contract"));
    await assert.rejects(
      renderTemplate("{% include '/etc/passwd' %}", {}, "html"),
      hasKind("contract"),
    );
    await assert.rejects(
      renderTemplate("{{ x | nonsense }}", { x: 1 }, "html"),
      hasKind("contract"),
    );
  });

  test("a template can't reach what it was not given", async () => {
    const html = await renderTemplate(
      "{{ title.constructor }}{{ constructor }}{{ __proto__ }}",
      { title: "x" },
      "html",
    );

    assert.equal(html, "");
  });

  test("the policy names the template's own script and style, and nothing else", () => {
    const policy = contentPolicy("<style>a{}</style><script>1</script>");

    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'sha256-[A-Za-z0-9+/=]+';/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.match(contentPolicy("<p></p>"), /script-src 'none'/);
  });
});

describe("the graph's picture", () => {
  const node = (id: string, label = id) => ({
    id,
    label,
    type: "PERSON" as const,
    confidence: 1,
    mention_count: 2,
  });

  test("is the same for the same graph, and escapes labels", () => {
    const graph = {
      nodes: [node("a", `<script>"&`), node("b"), node("c")],
      edges: [{ id: "r1", source: "a", target: "b", predicate: "<knows>", confidence: 1 }],
    };

    const first = drawGraph(graph);

    assert.deepEqual(drawGraph(graph), first);
    assert.doesNotMatch(first?.svg ?? "", /<script>|<knows>/);
    assert.match(first?.svg ?? "", /&lt;script&gt;/);
  });

  test("has no words along an edge that would cover a name", () => {
    const nodes = Array.from({ length: 14 }, (_, at) => node(`n${at}`, `A Name as Long as ${at}`));
    const pairs = nodes.flatMap((a, at) => nodes.slice(at + 1, at + 4).map((b) => [a, b] as const));
    const edges = pairs.map(([a, b], at) => ({
      id: `r${at}`,
      source: a.id,
      target: b.id,
      predicate: "disputes the figures of",
      confidence: 1,
    }));

    const svg = drawGraph({ nodes, edges: edges.slice(0, 40) })?.svg ?? "";

    const texts = [
      ...svg.matchAll(
        /<text(?: data-[^>]*?)? x="([\d.]+)" y="([\d.]+)"( class="predicate")?>([^<]*)</g,
      ),
    ];
    const boxes = texts.map(([, x, y, isEdge, words = ""]) => {
      const half = (words.length * (isEdge === undefined ? 8 : 5.5)) / 2;
      return { x: Number(x), y: Number(y), half, isEdge: isEdge !== undefined };
    });
    const worded = boxes.filter(({ isEdge }) => isEdge);
    assert.ok(worded.length > 0 && worded.length < 40, `${worded.length}`);
    for (const edge of worded) {
      for (const other of boxes) {
        if (other === edge) continue;
        const isApart =
          Math.abs(edge.x - other.x) >= edge.half + other.half || Math.abs(edge.y - other.y) >= 9;
        assert.ok(isApart, JSON.stringify([edge, other]));
      }
    }
  });

  test("is bounded, and absent where there is nothing to draw", () => {
    const nodes = Array.from({ length: 500 }, (_, at) => node(`n${at}`));

    assert.equal(drawGraph({ nodes, edges: [] })?.shown, 200);
    assert.equal(drawGraph({ nodes: [], edges: [] }), undefined);
  });
});
