// Files whose headers or gzip wrappers make false claims. A separate process reads them and records its
// largest array and its peak memory: no claim leads to an allocation.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeNifti } from "../../data/nifti/nifti.ts";
import type { Outcome } from "../support/allocations.ts";
import { IDENTITY, unpacked } from "../support/fixtures.ts";

const MIB = 2 ** 20;
const MOST = 64 * MIB; // a quarter of what the bombs hold; the honest file in them has 448 bytes

const test = suite("niftiLies");

/** A correct file of 2x3x4 float32 voxels, uncompressed. */
async function honest(): Promise<Uint8Array> {
  const file = await writeNifti({ data: new Float32Array(24).fill(7), size: [2, 3, 4], affine: IDENTITY });
  return unpacked(file);
}

/** The same as NIfTI-2, with only the fields that readers need. */
function honest2(): Uint8Array {
  const bytes = new Uint8Array(544 + 96);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, 540, true);
  bytes.set([0x6e, 0x2b, 0x32, 0, 0x0d, 0x0a, 0x1a, 0x0a], 4);
  view.setInt16(12, 16, true);
  view.setInt16(14, 32, true);
  [3, 4, 3, 2, 1, 1, 1, 1].forEach((length, i) => view.setBigInt64(16 + 8 * i, BigInt(length), true));
  [1, 1, 1, 1].forEach((edge, i) => view.setFloat64(104 + 8 * i, edge, true));
  view.setBigInt64(168, 544n, true);
  return bytes;
}

type Patch = (view: DataView) => void;

/** Sets dim of NIfTI-1, from dim[0] on. */
const dim =
  (...lengths: number[]): Patch =>
  (view) =>
    lengths.forEach((length, i) => view.setInt16(40 + 2 * i, length, true));

const dim2 =
  (...lengths: bigint[]): Patch =>
  (view) =>
    lengths.forEach((length, i) => view.setBigInt64(16 + 8 * i, length, true));

const headers: Record<string, [patch: Patch, message: RegExp]> = {
  huge: [dim(3, 32767, 32767, 32767), /expected at most 2 GiB of voxels, got 32767x32767x32767 float32/],
  "just too large": [dim(3, 1024, 1024, 513), /expected at most 2 GiB of voxels, got 1024x1024x513 float32/],
  "too large once it is read": [
    (view) => [dim(3, 1024, 1024, 513)(view), view.setInt16(70, 2, true)],
    /2 GiB of voxels, got 1024x1024x513 uint8, which take 4 bytes each once they are read/,
  ],
  "just small enough": [dim(3, 1024, 1024, 511), /expected 2143289344 bytes of voxels.*got 96/],
  "many volumes": [dim(5, 4, 3, 2, 32767, 32767), /expected at most 2 GiB of voxels, got 4x3x2x1073676289/],
  negative: [dim(3, 4, -3, 2), /expected positive dimensions, got dim \[3, 4, -3, 2/],
  "two negative, whose product is not": [dim(3, -4, -3, 2), /expected positive dimensions/],
  zero: [dim(3, 4, 0, 2), /expected positive dimensions/],
  "eight dimensions": [dim(8, 4, 3, 2), /expected 1 to 7 dimensions/],
  "minus one dimension": [dim(-1, 4, 3, 2), /expected 1 to 7 dimensions/],
  "voxels far away": [(view) => view.setFloat32(108, 2 ** 100, true), /within 2 GiB, got vox_offset 1\.2676/],
  "voxels at 4 GiB": [
    (view) => view.setFloat32(108, 2 ** 32, true),
    /expected voxels .*got vox_offset 4294967296/,
  ],
  "voxels beyond the end": [(view) => view.setFloat32(108, 1e6, true), /expected 96 bytes of voxels.*got 0/],
  "voxels before the header's end": [(view) => view.setFloat32(108, 16, true), /expected voxels at byte 352/],
  "voxels nowhere": [(view) => view.setFloat32(108, NaN, true), /expected voxels at byte 352.*NaN/],
};

const TERA = 2n ** 40n;
const headers2: Record<string, [patch: Patch, message: RegExp]> = {
  "huge in 64 bits": [dim2(3n, TERA, TERA, TERA), /expected at most 2 GiB of voxels/],
  "a product that is 0 in 64 bits": [dim2(3n, TERA, TERA, 2n ** 48n), /expected at most 2 GiB of voxels/],
  "a product that is 96 in 64 bits": [dim2(3n, 2n ** 61n + 1n, 12n, 2n), /expected at most 2 GiB of voxels/],
  "the largest there is": [dim2(3n, 2n ** 63n - 1n, 1n, 1n), /expected at most 2 GiB of voxels/],
  "negative in 64 bits": [dim2(3n, 4n, -TERA, 2n), /expected positive dimensions/],
  "the most negative": [dim2(3n, -(2n ** 63n), -1n, 1n), /expected positive dimensions/],
  "voxels at 2^62": [(view) => view.setBigInt64(168, 2n ** 62n, true), /expected voxels .*got vox_offset/],
  "voxels at -1": [
    (view) => view.setBigInt64(168, -1n, true),
    /expected voxels at byte 544.*got vox_offset -1$/,
  ],
};

/** Every file with a false claim, and the expected message. */
async function lies(): Promise<Map<string, [bytes: Uint8Array, message: RegExp]>> {
  const files = new Map<string, [Uint8Array, RegExp]>();
  const zeros = gzipSync(new Uint8Array(256 * MIB)); // a quarter of a MiB, appended to other members
  for (const [base, list] of [
    [await honest(), headers],
    [honest2(), headers2],
  ] as const) {
    for (const [name, [patch, message]] of Object.entries(list)) {
      const bytes = base.slice();
      patch(new DataView(bytes.buffer));
      files.set(`${name}.nii`, [bytes, message]);
      files.set(`${name}, packed.nii.gz`, [gzipSync(bytes), message]);
      if (!/got (0|96)/.test(message.source)) {
        files.set(`${name}, a bomb.nii.gz`, [Buffer.concat([gzipSync(bytes), zeros]), message]);
      }
    }
  }
  const whole = gzipSync(await honest());
  const cut = /expected a complete gzip file, got a damaged or truncated one/;
  files.set("cut in the middle.nii.gz", [whole.subarray(0, whole.length >> 1), cut]);
  files.set("cut in the trailer.nii.gz", [whole.subarray(0, -4), cut]);
  files.set("cut in gzip's header.nii.gz", [whole.subarray(0, 5), cut]);
  const claims = new Uint8Array(whole);
  new DataView(claims.buffer).setUint32(claims.length - 4, 2 ** 32 - 1, true);
  files.set("a trailer that claims 4 GiB.nii.gz", [claims, cut]);
  const bomb = new Uint8Array(256 * MIB);
  bomb.set(await honest());
  const more = /expected the 448 bytes that its header declares, got more/;
  files.set("a bomb behind an honest header.nii.gz", [gzipSync(bomb), more]);
  files.set("a bomb in a second member.nii.gz", [Buffer.concat([whole, zeros]), more]);
  files.set("a bomb behind a damaged member.nii.gz", [Buffer.concat([claims, zeros]), cut]);
  files.set("a bomb without a header.nii.gz", [zeros, /expected a NIfTI file/]);
  return files;
}

test("no false claim leads to an allocation, and each is refused with the file's name", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lies-"));
  try {
    const files = await lies();
    const paths = [...files].map(([name, [bytes]]) => {
      const path = join(folder, name);
      writeFileSync(path, bytes);
      return path;
    });
    const script = fileURLToPath(new URL("../support/allocations.js", import.meta.url));
    const { stdout, stderr } = spawnSync(process.execPath, [script, ...paths], { encoding: "utf8" });
    assert.is(stderr, "");
    const outcomes = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Outcome);
    assert.is(outcomes.length, files.size);
    for (const { file, error, message, largest, grown } of outcomes) {
      assert.is(error, "DataError", `${file}: ${error} ${message}`);
      assert.match(message, files.get(file)![1]);
      assert.ok(message.startsWith(`${file}: `), message);
      assert.ok(largest <= MOST, `${file}: an array of ${largest} bytes`);
      assert.ok(grown <= MOST, `${file}: memory grew by ${grown} bytes`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** A file of uint8 or int64 voxels, the fields of a header set, all voxels 0; compressed. */
async function zerosFile(edge: number, code: number, bits: number): Promise<Uint8Array> {
  const head = (await honest()).slice(0, 352);
  const view = new DataView(head.buffer);
  dim(3, edge, edge, edge)(view);
  view.setInt16(70, code, true);
  view.setInt16(72, bits, true);
  const file = new Uint8Array(352 + (edge ** 3 * bits) / 8);
  file.set(head);
  return gzipSync(file);
}

test("reading takes the memory of the voxels as float32, and little more", async () => {
  const folder = mkdtempSync(join(tmpdir(), "unpacked-"));
  try {
    for (const [name, edge, code, bits] of [
      ["uint8", 400, 2, 8],
      ["int64", 200, 1024, 64],
    ] as const) {
      const path = join(folder, `${name}.nii.gz`);
      writeFileSync(path, await zerosFile(edge, code, bits));
      const script = fileURLToPath(new URL("../support/allocations.js", import.meta.url));
      const { stdout } = spawnSync(process.execPath, [script, path], { encoding: "utf8" });
      const { error, grown, largest } = JSON.parse(stdout) as Outcome;
      assert.is(error, "", stdout);
      const decoded = 4 * edge ** 3;
      assert.is(largest, decoded);
      assert.ok(grown <= decoded + MOST, `${name}: ${grown} bytes for ${decoded}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
