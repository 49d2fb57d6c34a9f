import { existsSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Checkpoint, decodeSafetensors, encodeSafetensors } from "../../model/files/safetensors.ts";
import { Random } from "../../engine/autograd/random.ts";

const sample = {
  "block_one.conv.0.weight": { shape: [2, 1, 3], data: Float32Array.of(1, -2, 0.5, NaN, Infinity, 1e-40) },
  labels: { shape: [3], data: Uint8Array.of(0, 3, 255) },
  steps: { shape: [], data: BigInt64Array.of(-(2n ** 62n)) },
  offsets: { shape: [1, 2], data: Int32Array.of(-7, 2 ** 31 - 1) },
  none: { shape: [0, 4], data: new Float32Array(0) },
};

/** A file with this header, as text or as JSON, and so many bytes of data. */
function file(header: unknown, dataBytes = 0, declared?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, declared ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const floats = (begin: number, end: number, shape: unknown = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

test("tensors are read back as they were written, bit for bit and in the same order", () => {
  const bytes = encodeSafetensors(sample, { epoch: "3", note: 'ü "quoted"\n' });
  const { tensors, metadata } = decodeSafetensors(bytes, "a.safetensors");
  assert.equal(Object.keys(tensors), Object.keys(sample));
  for (const [name, { shape, data }] of Object.entries(sample)) {
    assert.equal(tensors[name]!.shape, shape);
    assert.is(tensors[name]!.data.constructor, data.constructor);
    assert.equal(new Uint8Array(tensors[name]!.data.buffer), new Uint8Array(data.buffer));
  }
  assert.equal({ ...metadata }, { epoch: "3", note: 'ü "quoted"\n' });
  assert.equal(encodeSafetensors(sample, { epoch: "3", note: 'ü "quoted"\n' }), bytes);
});

test("data begins at a multiple of 8 bytes, and every tensor at a multiple of its element's", () => {
  for (const note of ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg"]) {
    const bytes = encodeSafetensors(sample, { note });
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.is(headerBytes % 8, 0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes))) as Record<
      string,
      { data_offsets: number[] }
    >;
    for (const [name, { data }] of Object.entries(sample)) {
      assert.is(header[name]!.data_offsets[0]! % data.BYTES_PER_ELEMENT, 0, name);
    }
  }
});

test("a view into a larger buffer is written without the rest of it, and a file may begin anywhere in its buffer", () => {
  const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  const bytes = encodeSafetensors({ x: { shape: [2], data } }, {});
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assert.equal(decodeSafetensors(shifted.subarray(3), "a").tensors["x"]!.data, Float32Array.of(1, 2));
});

test("half, bfloat16 and double precision become single", () => {
  const bytes = file(
    {
      half: { dtype: "F16", shape: [7], data_offsets: [0, 14] },
      brain: { dtype: "BF16", shape: [1], data_offsets: [14, 16] },
      double: { dtype: "F64", shape: [1], data_offsets: [16, 24] },
    },
    24,
  );
  const view = new DataView(bytes.buffer, bytes.length - 24);
  [0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x7e00, 0x3555].forEach((bits, i) =>
    view.setUint16(2 * i, bits, true),
  );
  view.setUint16(14, 0xc049, true);
  view.setFloat64(16, Math.PI, true);
  const { tensors } = decodeSafetensors(bytes, "a");
  const half = [1, -2, 2 ** -24, 65504, Infinity, NaN, 0.333251953125];
  assert.equal(Array.from(tensors["half"]!.data as Float32Array), half);
  assert.equal(tensors["brain"]!.data, Float32Array.of(-3.140625));
  assert.equal(tensors["double"]!.data, Float32Array.of(Math.PI));
});

const hostile: [name: string, bytes: Uint8Array, message: RegExp][] = [
  ["an empty file", new Uint8Array(0), /at least 8 bytes, got 0/],
  ["a header longer than the file", file("{}", 0, 50n), /header has 50 bytes, the file 10: is it cut short/],
  ["a header of more than 100 MB", file("{}", 0, 100_000_001n), /more than 100000000/],
  ["a header length beyond 2^53", file("{}", 0, 2n ** 64n - 1n), /more than 100000000/],
  ["a pickle", file("\x80\x02ctorch"), /does not begin with '{'/],
  ["a header that is not JSON", file("{'x': 1}"), /not valid JSON/],
  [
    "a header that is no UTF-8",
    new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff]).fill(2, 0, 1),
    /not valid JSON/,
  ],
  [
    "a name twice",
    file('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0078":{}}', 1),
    /'x' twice/,
  ],
  [
    "a field twice",
    file('{"x":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1),
    /'dtype' twice/,
  ],
  ["deep nesting", file(`{"x":${"[".repeat(9)}${"]".repeat(9)}}`), /nested deeper than 3/],
  ["a tensor that is a number", file({ x: 1 }), /'x' is not an object/],
  ["an unknown type", file({ x: { ...floats(0, 4), dtype: "F8" } }, 4), /the type "F8"; known are F32/],
  [
    "a type named constructor",
    file({ x: { ...floats(0, 4), dtype: "constructor" } }, 4),
    /the type "constructor"/,
  ],
  ["a negative dimension", file({ x: floats(0, 4, [-1]) }, 4), /the shape \[-1\]/],
  ["a fraction of a dimension", file({ x: floats(0, 4, [0.5]) }, 4), /the shape \[0.5\]/],
  ["a shape that is text", file({ x: floats(0, 4, "1") }, 4), /the shape "1"/],
  [
    "a product beyond 2^53",
    file({ x: floats(0, 4, [2 ** 52, 2 ** 52, 2 ** 52]) }, 4),
    /needs .* bytes, has 4/,
  ],
  ["no offsets", file({ x: { dtype: "F32", shape: [1] } }, 4), /no pair of data_offsets/],
  ["offsets in reverse", file({ x: floats(4, 0, [1]) }, 4), /bytes 4 to 0 of 4/],
  ["offsets beyond the file", file({ x: floats(0, 8) }, 4), /bytes 0 to 8 of 4: is the file cut short/],
  ["a shape that disagrees with its bytes", file({ x: floats(0, 8, [3]) }, 8), /needs 12 bytes, has 8/],
  [
    "overlapping tensors",
    file({ x: floats(0, 8), y: floats(4, 8) }, 8),
    /'y' begins at byte 4, .* ends at 8/,
  ],
  ["a hole between tensors", file({ x: floats(0, 4), y: floats(8, 12) }, 12), /'y' begins at byte 8/],
  ["bytes that belong to nothing", file({ x: floats(0, 4) }, 8), /end at byte 4 of 8/],
  ["metadata that is a list", file({ __metadata__: ["x"] }), /metadata/],
  ["metadata of numbers", file({ __metadata__: { epoch: 3 } }), /metadata 'epoch' is not a string/],
];
for (const [name, bytes, message] of hostile) {
  test(`${name} is refused, naming the file`, () => {
    assert.throws(
      () => decodeSafetensors(bytes, "run/best.safetensors"),
      (error: Error) => {
        assert.is(error.name, "CheckpointError");
        assert.match(error.message, /^run\/best\.safetensors: not a usable checkpoint: /);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("a tensor called __proto__ is a tensor, and changes no object", () => {
  const bytes = file(`{"__proto__":${JSON.stringify(floats(0, 4))},"__metadata__":{"__proto__":"x"}}`, 4);
  const { tensors, metadata }: Checkpoint = decodeSafetensors(bytes, "a");
  assert.equal(Object.keys(tensors), ["__proto__"]);
  assert.equal(Object.keys(metadata), ["__proto__"]);
  assert.is(Object.getPrototypeOf(tensors), null);
  assert.is(({} as { shape?: unknown }).shape, undefined);
});

test("every cut of a file is refused, and every flipped bit of its header is refused or read", () => {
  const bytes = encodeSafetensors(sample, { epoch: "3" });
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeSafetensors(bytes.subarray(0, length), "cut"), /^cut: not a usable checkpoint/);
  }
  const random = new Random(1);
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  let refused = 0;
  for (let i = 0; i < 3000; i++) {
    const damaged = bytes.slice();
    damaged[random.integer(8 + headerBytes)]! ^= 1 << random.integer(8);
    try {
      decodeSafetensors(damaged, "flipped");
    } catch (error) {
      assert.is((error as Error).name, "CheckpointError", String(error));
      refused++;
    }
  }
  assert.ok(refused > 1000, `only ${refused} of 3000 were refused`);
});

test("megabytes of metadata, with many escapes, are read in linear time", () => {
  const note = 'a\\"'.repeat(1_000_000);
  assert.is(decodeSafetensors(encodeSafetensors({}, { note }), "a").metadata["note"], note);
});

test("a shape that disagrees with its data is not written", () => {
  const data = new Float32Array(3);
  assert.throws(
    () => encodeSafetensors({ x: { shape: [2], data } }, {}),
    /x: shape \[2\] needs 2 values, got 3/,
  );
  assert.throws(() => encodeSafetensors({ __metadata__: { shape: [3], data } }, {}), /__metadata__/);
});

const golden = new URL("../../../shared/golden/vnet.safetensors", import.meta.url);
if (existsSync(golden)) {
  test("a file of another program is read, and written again with the same tensors", () => {
    const { tensors, metadata } = decodeSafetensors(readFileSync(golden), "vnet.safetensors");
    assert.equal(tensors["batch"]!.shape, [2, 4, 32, 32, 32]);
    assert.instance(tensors["labels"]!.data, Int32Array);
    assert.ok((tensors["labels"]!.data as Int32Array).every((n) => n >= 0 && n < 4));
    assert.ok((tensors["batch"]!.data as Float32Array).every(Number.isFinite));
    assert.ok("torch" in metadata);
    const again = decodeSafetensors(encodeSafetensors(tensors, metadata), "again");
    assert.equal(Object.keys(again.tensors), Object.keys(tensors));
    for (const [name, { data }] of Object.entries(tensors)) {
      const same = Buffer.from(data.buffer).equals(Buffer.from(again.tensors[name]!.data.buffer));
      assert.ok(same, name);
    }
  });
} else {
  console.log("SKIPPED: a file of another program is read: ../shared/golden/vnet.safetensors is missing");
}

test.run();
