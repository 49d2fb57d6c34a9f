// Damages files by a seeded generator: bytes, and JSON whose syntax stays valid.

import type { Random } from "../../engine/index.ts";

/** Numbers that readers stumble over, at the edges of 8, 16, 32 and 64 bits. */
const EDGES = [
  0,
  1,
  -1,
  0x7f,
  0x80,
  0xff,
  0x7fff,
  0x8000,
  0xffff,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 40,
];

const HEADER = 600; // bytes: half of all damage is here, where the sizes stand
const LONGEST = 64 << 10; // bytes of a damaged file, so that many can be tried

type Damage = (random: Random, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

const DAMAGES: readonly Damage[] = [
  (random, bytes) =>
    changed(random, bytes, (view, at) => view.setUint8(at, view.getUint8(at) ^ (1 << random.integer(8)))),
  (random, bytes) => changed(random, bytes, (view, at) => view.setUint8(at, random.integer(256))),
  (random, bytes) => changed(random, bytes, (view, at) => setEdge(random, view, at)),
  (random, bytes) => bytes.slice(0, random.integer(bytes.length + 1)),
  (random, bytes) => {
    const [from, to] = piece(random, bytes);
    return joined(bytes.slice(0, from), bytes.slice(to));
  },
  (random, bytes) => {
    const [from, to] = piece(random, bytes);
    return joined(bytes.slice(0, to), bytes.slice(from));
  },
  (random, bytes, other) => {
    const at = place(random, bytes);
    return joined(bytes.slice(0, at), other.slice(...piece(random, other)), bytes.slice(at));
  },
  (random, bytes) => joined(bytes, new Uint8Array(random.integer(300))),
];

/** A copy of `bytes` with one to four damages; some insert a piece of `other`. */
export function damageBytes(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let damaged: Uint8Array = Uint8Array.from(bytes);
  for (let left = 1 + random.integer(4); left > 0; left--)
    damaged = DAMAGES[random.integer(DAMAGES.length)]!(random, damaged, other).subarray(0, LONGEST);
  return damaged;
}

function place(random: Random, { length }: Uint8Array): number {
  return random.integer(random.integer(2) ? length : Math.min(HEADER, length));
}

function piece(random: Random, bytes: Uint8Array): [from: number, to: number] {
  const from = place(random, bytes);
  return [from, Math.min(bytes.length, from + 1 + random.integer(random.integer(2) ? 8 : 300))];
}

function changed(
  random: Random,
  bytes: Uint8Array,
  change: (view: DataView, at: number) => void,
): Uint8Array {
  if (bytes.length === 0) return bytes;
  change(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), place(random, bytes));
  return bytes;
}

/** Writes an awkward number of 1, 2, 4 or 8 bytes, in either order of bytes. */
function setEdge(random: Random, view: DataView, at: number): void {
  const width = [1, 2, 4, 8][random.integer(4)]!;
  const value = random.integer(8) ? EDGES[random.integer(EDGES.length)]! : NaN;
  const little = random.integer(2) === 1;
  if (at + width > view.byteLength) return;
  if (Number.isNaN(value) && width >= 4) view[width === 4 ? "setFloat32" : "setFloat64"](at, value, little);
  else if (width === 8) view.setBigInt64(at, BigInt(value || 0), little);
  else if (width === 4) view.setInt32(at, value, little);
  else if (width === 2) view.setInt16(at, value, little);
  else view.setInt8(at, value);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Values that take the place of others. */
const AWKWARD: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1e308,
    -1e308,
    2 ** 53,
    "",
    "0",
    "a",
    "\u0000",
    "\u001b[2J",
    "é".repeat(3),
  ],
  ...["../../etc/passwd", "/etc/passwd", "a".repeat(5000), "__proto__", "constructor"],
  ...[[], {}, [null], [[]], [1, 2, 3], ["a", "a"], { a: 1 }, { length: 3 }, { toString: 1 }],
  JSON.parse('{"__proto__": {"polluted": 1}}'),
  JSON.parse("[".repeat(900) + "]".repeat(900)),
];

/** JSON of `value` with one to three values or names replaced, removed or added; some come from `other`. */
export function damageJson(random: Random, value: unknown, other: unknown): string {
  let damaged = value;
  for (let left = 1 + random.integer(3); left > 0; left--) damaged = damagedAt(random, damaged, other);
  return JSON.stringify(damaged) ?? "";
}

function damagedAt(random: Random, value: unknown, other: unknown): unknown {
  const inside = typeof value === "object" && value !== null && random.integer(5) > 0;
  if (!inside) return random.integer(6) ? AWKWARD[random.integer(AWKWARD.length)] : partOf(random, other);
  if (Array.isArray(value)) {
    const at = random.integer(value.length + 1);
    const part = damagedAt(random, value[at] as unknown, other);
    return random.integer(3) ? value.toSpliced(at, 1, part) : value.toSpliced(at, 1);
  }
  const entries = Object.entries(value);
  const at = random.integer(entries.length + 1);
  const [name, held] = entries[at] ?? ["new", 1];
  const how = random.integer(6);
  if (how === 0) return Object.fromEntries(entries.toSpliced(at, 1));
  if (how === 1) return Object.fromEntries([...entries, [`${name}_`, held]]);
  return Object.fromEntries([...entries.toSpliced(at, 1), [name, damagedAt(random, held, other)]]);
}

/** A value somewhere in another file. */
function partOf(random: Random, value: unknown): unknown {
  const parts = typeof value === "object" && value !== null ? Object.values(value) : [];
  return parts.length && random.integer(4) ? partOf(random, parts[random.integer(parts.length)]) : value;
}
