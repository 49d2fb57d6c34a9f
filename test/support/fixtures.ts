// Small data sets in memory: a Source over an object, and volumes for it.

import { gunzipSync } from "node:zlib";
import * as assert from "uvu/assert";
import type { Source } from "../../data/datasets/datasets.ts";
import { DataError } from "../../data/errors.ts";
import { type Vec3, writeNifti } from "../../data/nifti/nifti.ts";

export const IDENTITY = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];

/** Returns a source of these files. */
export function sourceOf(files: Record<string, Uint8Array | string>, name = "data"): Source {
  return {
    name,
    list: () => Promise.resolve(Object.keys(files)),
    read: (path) => {
      const content = files[path];
      if (content === undefined) throw new Error(`no ${path}`);
      return Promise.resolve(typeof content === "string" ? new TextEncoder().encode(content) : content);
    },
  };
}

/** Returns the content of a gzip file, in a buffer of its own. */
export function unpacked(file: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(file));
}

/** Returns a compressed NIfTI file of `size` [D, H, W] with the voxels `value(z, y, x)`. */
export function volumeFile(
  size: Vec3,
  value: (z: number, y: number, x: number) => number,
  affine: readonly (readonly number[])[] = IDENTITY,
): Promise<Uint8Array> {
  const data = new Float32Array(size[0] * size[1] * size[2]);
  let i = 0;
  for (let z = 0; z < size[0]; z++) {
    for (let y = 0; y < size[1]; y++) for (let x = 0; x < size[2]; x++) data[i++] = value(z, y, x);
  }
  return writeNifti({ data, size, affine });
}

/** Returns the problems of the DataError that `run` throws; throws if it does not throw one. */
export async function problemsOf(run: () => unknown): Promise<readonly string[]> {
  try {
    await run();
  } catch (error) {
    if (error instanceof DataError) return error.problems;
    throw error;
  }
  throw new Error("expected a DataError, got none");
}

/** Fails unless `a` and `b` differ by at most `within`. */
export function close(a: number, b: number, within: number): void {
  if (!(Math.abs(a - b) <= within)) assert.unreachable(`${a} is not within ${within} of ${b}`);
}
