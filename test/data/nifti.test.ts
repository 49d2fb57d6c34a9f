// Reading and writing NIfTI, on small files built here.

import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DataError } from "../../data/errors.ts";
import { cornerDisplacement } from "../../data/nifti/geometry.ts";
import { gzipMembers } from "../../data/nifti/gzip.ts";
import { unpacked } from "../support/fixtures.ts";
import { readNifti, type Vec3, writeLabelLike, writeNifti } from "../../data/nifti/nifti.ts";

const test = suite("nifti");

const OBLIQUE = [
  [-1.9, 0.3, 0.1, 40],
  [0.31, 1.95, -0.2, -60],
  [-0.08, 0.18, 2.97, 12],
  [0, 0, 0, 1],
];
const LPS = [
  [-1, 0, 0, 0],
  [0, -1, 0, 239],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];

/** The uncompressed bytes of a small float32 file. */
async function plainFile(size: Vec3 = [2, 3, 4]): Promise<Uint8Array> {
  const data = Float32Array.from({ length: size[0] * size[1] * size[2] }, (_, i) => i);
  const bytes = await writeNifti({ data, size, affine: LPS });
  return unpacked(bytes);
}

async function problemOf(bytes: Uint8Array, name = "bad.nii"): Promise<string> {
  try {
    await readNifti(bytes, name);
  } catch (error) {
    assert.instance(error, DataError);
    return (error as DataError).message;
  }
  return assert.unreachable(`${name} was read`) as never;
}

test("a written volume is read back: values, shape, affine and spacing", async () => {
  const size: Vec3 = [2, 3, 4];
  for (const data of [
    Uint8Array.from({ length: 24 }, (_, i) => i * 10),
    Int16Array.from({ length: 24 }, (_, i) => 1000 * i - 12000),
    Float32Array.from({ length: 24 }, (_, i) => i / 7),
  ]) {
    const volume = await readNifti(await writeNifti({ data, size, affine: LPS }), "made.nii.gz");
    assert.equal([...volume.data], [...data]);
    assert.equal([volume.size, volume.channels, volume.spacing], [size, 1, [1, 1, 1]]);
    assert.equal(volume.affine, LPS);
  }
});

test("x runs fastest: the array is [D, H, W] of a file of x, y, z", async () => {
  const volume = await readNifti(await plainFile([2, 3, 4]), "plain.nii");
  const view = new DataView(volume.header.buffer);
  assert.equal([view.getInt16(42, true), view.getInt16(44, true), view.getInt16(46, true)], [4, 3, 2]);
  assert.is(volume.data[(1 * 3 + 2) * 4 + 3], 23);
});

test("the qform equals the sform, also for mirrored axes, and is absent for sheared ones", async () => {
  const rotated = [
    [-1.6, -1.2, 0, 5],
    [1.2, -1.6, 0, 6],
    [0, 0, 3, 7],
    [0, 0, 0, 1],
  ];
  for (const affine of [LPS, rotated, LPS.map((row, i) => (i === 2 ? [0, 0, -1, 4] : row))]) {
    const file = await writeNifti({ data: new Uint8Array(24), size: [2, 3, 4], affine });
    const bytes = unpacked(file);
    new DataView(bytes.buffer).setInt16(254, 0, true); // sform_code: unknown
    const volume = await readNifti(bytes, "qform.nii");
    assert.ok(cornerDisplacement(volume.affine, affine, [200, 200, 200]) < 1e-3);
  }
  const sheared = await readNifti(
    await writeNifti({ data: new Uint8Array(24), size: [2, 3, 4], affine: OBLIQUE }),
    "oblique.nii.gz",
  );
  assert.is(new DataView(sheared.header.buffer).getInt16(252, true), 0);
  assert.ok(cornerDisplacement(sheared.affine, OBLIQUE, [100, 100, 100]) < 1e-3);
});

test("a label map in a source's grid keeps the bytes of the affine and drops all text", async () => {
  for (const little of [true, false]) {
    const source = (await readNifti(await plainFile(), "plain.nii")).header;
    const view = new DataView(source.buffer);
    if (!little) swapHeader(view);
    source.set(new TextEncoder().encode("Jane Doe"), 148); // descrip
    source.set(new TextEncoder().encode("Jane"), 14); // db_name
    source.set(new TextEncoder().encode("Jane"), 228); // aux_file
    source.set(new TextEncoder().encode("Jane"), 328); // intent_name
    view.setFloat32(112, 0.25, little); // slope
    view.setFloat32(280 + 12, 1 / 3, little);

    const labels = Uint8Array.from({ length: 24 }, (_, i) => i % 4);
    const file = await writeLabelLike(source, labels, [2, 3, 4]);
    const bytes = unpacked(file);
    assert.equal(bytes.slice(252, 328), source.slice(252, 328)); // qform, sform
    assert.equal(bytes.slice(76, 108), source.slice(76, 108)); // pixdim
    assert.not.match(new TextDecoder("latin1").decode(bytes), "Jane");
    const volume = await readNifti(file, "labels.nii.gz");
    assert.equal([...volume.data], [...labels]);
    assert.is(bytes.length, 352 + 24);
  }
});

/** Makes a header big-endian, in the fields that these tests use. */
function swapHeader(view: DataView): void {
  const words = (start: number, end: number, bytes: number) => {
    for (let at = start; at < end; at += bytes) new Uint8Array(view.buffer, at, bytes).reverse();
  };
  words(0, 4, 4);
  words(40, 56, 2);
  words(70, 76, 2);
  words(76, 120, 4);
  words(252, 256, 2);
  words(256, 328, 4);
}

test("a truncated gzip file, or one with a wrong checksum, is refused by name", async () => {
  const whole = await writeNifti({
    data: Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i)),
    size: [16, 16, 16],
    affine: LPS,
  });
  for (let end = 2; end < whole.length; end += 997) {
    assert.match(
      await problemOf(whole.subarray(0, end), "cut.nii.gz"),
      /^cut\.nii\.gz: expected a complete gzip file/,
    );
  }
  const wrong = whole.slice();
  wrong[wrong.length - 6]! ^= 1;
  assert.match(await problemOf(wrong, "sum.nii.gz"), /^sum\.nii\.gz: expected a complete gzip file/);
});

test("a damaged header gives a volume or a DataError, never another error", async () => {
  const bytes = await plainFile();
  for (let at = 0; at < 352; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const damaged = bytes.slice();
      damaged[at] = value;
      await readNifti(damaged, "damaged.nii").catch((error: unknown) => assert.instance(error, DataError));
    }
  }
});

test("the members of a joined gzip file are separated, for readers that stop after the first", () => {
  const parts = ["one", "two and more", "three"].map((text) => new Uint8Array(gzipSync(text)));
  const joined = Uint8Array.from(parts.flatMap((part) => [...part]));
  assert.equal(
    [...gzipMembers(joined)].map((member) => member.length),
    parts.map((part) => part.length),
  );
  assert.is([...gzipMembers(joined.subarray(0, 30))].length, 1);
});

test("voxels of every type are the numbers nearest to them, in any byte order, across blocks", async () => {
  const types = [
    [2, 8, "Uint8", 0n, 255n],
    [256, 8, "Int8", -128n, 127n],
    [512, 16, "Uint16", 0n, 65535n],
    [4, 16, "Int16", -32768n, 32767n],
    [768, 32, "Uint32", 0n, 2n ** 32n - 1n],
    [8, 32, "Int32", -(2n ** 31n), 2n ** 31n - 1n],
    [1280, 64, "BigUint64", 0n, 2n ** 64n - 1n],
    [1024, 64, "BigInt64", -(2n ** 63n), 2n ** 63n - 1n],
  ] as const;
  const size: Vec3 = [3, 91, 127];
  const count = 3 * 91 * 127; // above a block of 64 KiB of int16
  const head = (await plainFile(size)).slice(0, 352);
  for (const little of [true, false])
    for (const [code, bits, type, least, most] of types) {
      const bytes = new Uint8Array(352 + (count * bits) / 8);
      bytes.set(head);
      const view = new DataView(bytes.buffer);
      view.setInt16(70, code, true);
      view.setInt16(72, bits, true);
      if (!little) swapHeader(view);
      const [slope, intercept] = bits === 16 ? [0.37, -5] : [1, 0];
      view.setFloat32(112, slope, little);
      view.setFloat32(116, intercept, little);
      const span = most - least + 1n;
      const values = Array.from({ length: count }, (_, i) =>
        i < 2 ? [least, most][i]! : least + ((BigInt(i) * 0x9e3779b97f4a7c15n + 1n) % span),
      );
      const set = view[`set${type}`] as (at: number, value: number | bigint, little: boolean) => void;
      values.forEach((value, i) =>
        set.call(view, 352 + (i * bits) / 8, bits === 64 ? value : Number(value), little),
      );
      const rounded = Math.fround(slope);
      const expected = Float32Array.from(values, (value) => Number(value) * rounded + intercept);
      for (const file of [bytes, gzipSync(bytes)]) {
        const { data } = await readNifti(file, type);
        assert.is(
          Buffer.compare(Buffer.from(data.buffer), Buffer.from(expected.buffer)),
          0,
          `${type} ${little}`,
        );
      }
    }
});

test.run();
