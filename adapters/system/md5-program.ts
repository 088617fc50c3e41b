/**
 * Puts together the WebAssembly program of `md5-lanes.ts`: MD5 (RFC 1321) in which a vector of four 32-bit
 * words stands in the place of each word, one of each body, and two such vectors take turns, so
 * that one goes on while the other waits for a result. webassembly.github.io/spec/core/binary
 *
 * Its memory: a state of four vectors for each group of four bodies, then a chunk of each body.
 */
export const LANES = 8;
export const BLOCK_BYTES = 64;
/** Of each body in the program's memory at a time: all of it stays in the processor's cache. */
export const CHUNK_BYTES = 16 * 1024;
export const CHUNKS_AT = 128;

const VECTOR_LANES = 4;
const GROUPS = LANES / VECTOR_LANES;
const STATE_BYTES = 64;
const VECTOR_BYTES = 16;
const PAGE_BYTES = 64 * 1024;
const PAGES = Math.ceil((CHUNKS_AT + LANES * CHUNK_BYTES) / PAGE_BYTES);

/** Bits that each of four steps turns, by round; which word of the block a step takes. */
const TURNS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];
const WORD_OF = [
  (step: number): number => step,
  (step: number): number => (5 * step + 1) % 16,
  (step: number): number => (3 * step + 5) % 16,
  (step: number): number => (7 * step) % 16,
];

/** Local variables: how many blocks, where in the chunks; then of each group its vectors. */
const BLOCKS = 0;
const AT = 1;
const FIRST_VECTOR = 2;
const VECTORS = 28;

interface Group {
  number: number;
  /** a, b, c, d now, and before this block. */
  state: number[];
  before: number[];
  /** The block's sixteen words, and what is needed to bring them there. */
  words: number[];
  rows: number[];
}

const groups = Array.from({ length: GROUPS }, (_, number): Group => {
  const from = (first: number, count: number): number[] =>
    Array.from({ length: count }, (_each, at) => FIRST_VECTOR + number * VECTORS + first + at);
  return { number, state: from(0, 4), before: from(4, 4), words: from(8, 16), rows: from(24, 4) };
});

const get = (local = 0): number[] => [0x20, local];
const set = (local = 0): number[] => [0x21, local];
const constant = (value: number): number[] => [0x41, ...signed(value)];
const vector = (code: number): number[] => [0xfd, ...unsigned(code)];
const load = (offset: number): number[] => [...vector(0), 4, ...unsigned(offset)];
const store = (offset: number): number[] => [...vector(11), 4, ...unsigned(offset)];
const NOT = vector(77);
const AND = vector(78);
const AND_NOT = vector(79);
const OR = vector(80);
const XOR = vector(81);
const SHIFT_LEFT = vector(171);
const SHIFT_RIGHT = vector(173);
const ADD = vector(174);

/** Exports `memory` and `take(blocks)`, which takes so many blocks of each chunk into the states. */
export function md5Program(): Uint8Array<ArrayBuffer> {
  const text = (name: string): number[] => [name.length, ...Buffer.from(name)];
  const section = (id: number, content: number[]): number[] => [
    id,
    ...unsigned(content.length),
    ...content,
  ];
  const code = [2, 1, 0x7f, VECTORS * GROUPS, 0x7b, ...takeBlocks(), 0x0b];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 1, 0x7f, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, PAGES]),
    ...section(7, [2, ...text("memory"), 2, 0, ...text("take"), 0, 0]),
    ...section(10, [1, ...unsigned(code.length), ...code]),
  ]);
}

function takeBlocks(): number[] {
  const ofState = (act: (local: number, offset: number, before: number) => number[]): number[] =>
    groups.flatMap(({ number, state, before }) =>
      state.flatMap((local, at) =>
        act(local, number * STATE_BYTES + at * VECTOR_BYTES, before[at] ?? 0),
      ),
    );
  const loop = [
    ...groups.flatMap((group) => [0, 1, 2, 3].flatMap((quarter) => readWords(group, quarter))),
    ...ofState((local, _offset, before) => [...get(local), ...set(before)]),
    ...Array.from({ length: 64 }, (_, step) =>
      groups.flatMap((group) => takeStep(group, step)),
    ).flat(),
    ...ofState((local, _offset, before) => [...get(local), ...get(before), ...ADD, ...set(local)]),
    ...[...get(AT), ...constant(BLOCK_BYTES), 0x6a, ...set(AT)],
    // One block less; again, if there is one.
    ...[...get(BLOCKS), ...constant(1), 0x6b, 0x22, BLOCKS, 0x0d, 0],
  ];
  return [
    ...ofState((local, offset) => [...constant(0), ...load(offset), ...set(local)]),
    ...[...constant(CHUNKS_AT), ...set(AT)],
    ...[0x03, 0x40, ...loop, 0x0b],
    ...ofState((local, offset) => [...constant(0), ...get(local), ...store(offset)]),
  ];
}

/** Four words of each body become four vectors, of one word of each body. */
function readWords({ number, words, rows }: Group, quarter: number): number[] {
  const [w0, w1, w2, w3] = words.slice(quarter * 4);
  const [r0, r1, r2, r3] = rows;
  const pick = (first = 0, second = 0, lanes: readonly number[], to = 0): number[] => [
    ...[...get(first), ...get(second), ...vector(13)],
    ...lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => lane * 4 + byte)),
    ...set(to),
  ];
  return [
    ...rows.flatMap((row, lane) => [
      ...get(AT),
      ...load((number * VECTOR_LANES + lane) * CHUNK_BYTES + quarter * VECTOR_BYTES),
      ...set(row),
    ]),
    // Two words of two bodies each; then one word of all four.
    ...pick(r0, r1, [0, 4, 1, 5], w0),
    ...pick(r2, r3, [0, 4, 1, 5], w1),
    ...pick(r0, r1, [2, 6, 3, 7], w2),
    ...pick(r2, r3, [2, 6, 3, 7], w3),
    ...pick(w0, w1, [0, 1, 4, 5], r0),
    ...pick(w0, w1, [2, 3, 6, 7], w1),
    ...pick(w2, w3, [0, 1, 4, 5], r2),
    ...pick(w2, w3, [2, 3, 6, 7], w3),
    ...[...get(r0), ...set(w0), ...get(r2), ...set(w2)],
  ];
}

/** a = b + ((a + sine + word + mix(b, c, d)) turned left): what waits for b comes last. */
function takeStep({ state, words }: Group, step: number): number[] {
  const round = Math.floor(step / 16);
  const [a, b, c, d] = [0, 1, 2, 3].map((at) => state[(at + 64 - step) % 4]);
  const turn = TURNS[round]?.[step % 4] ?? 0;
  const word = words[WORD_OF[round]?.(step) ?? 0];
  const sine = Uint32Array.of(Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32));
  const sines = [0, 1, 2, 3].flatMap(() => [...new Uint8Array(sine.buffer)]);
  return [
    ...[...get(a), ...vector(12), ...sines, ...ADD, ...get(word), ...ADD],
    ...[...mix(round, b, c, d), ...set(a)],
    ...[...get(a), ...constant(turn), ...SHIFT_LEFT],
    ...[...get(a), ...constant(32 - turn), ...SHIFT_RIGHT, ...OR],
    ...[...get(b), ...ADD, ...set(a)],
  ];
}

/** Adds the round's function of b, c and d to what lies there. */
function mix(round: number, b?: number, c?: number, d?: number): number[] {
  if (round === 0) {
    return [...get(c), ...get(d), ...XOR, ...get(b), ...AND, ...get(d), ...XOR, ...ADD];
  }
  // Its two halves have no bit in common: they may be added one by one.
  if (round === 1) {
    return [...get(c), ...get(d), ...AND_NOT, ...ADD, ...get(b), ...get(d), ...AND, ...ADD];
  }
  if (round === 2) return [...get(c), ...get(d), ...XOR, ...get(b), ...XOR, ...ADD];
  return [...get(d), ...NOT, ...get(b), ...OR, ...get(c), ...XOR, ...ADD];
}

/** LEB128, as the format has its numbers. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const isLast = rest === ((low & 0x40) === 0 ? 0 : -1);
  return isLast ? [low] : [low | 0x80, ...signed(rest)];
}
