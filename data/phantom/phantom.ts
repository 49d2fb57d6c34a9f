// A seeded generator of BraTS-like cases, so that everything runs without patients' data: a head with a
// tumour, scanned with four contrasts that differ as real ones do. Version 1 (version1.ts) is easy: clear
// tissues, exact labels. Version 2 (version2.ts) is as hard as real scans: tissues that overlap, varied
// tumours and scanners, and labels that raters drew. Shapes are functions of millimetres in a box of 160 mm:
// a case looks the same at every size.

import { Random } from "../../engine/autograd/random.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import type { PhantomCase } from "./case.ts";
import { affineOf } from "./pose.ts";
import { drawVersion1 } from "./version1.ts";
import { drawVersion2 } from "./version2.ts";

export type { PhantomCase } from "./case.ts";

/** The versions of the generator: add one with every change of the voxels of a given seed. */
export const VERSIONS = [1, 2] as const;
export type Version = (typeof VERSIONS)[number];

/** The options of a case. */
export interface CaseOptions {
  seed: number;
  /** Counted from 0; a case does not depend on the others. */
  index: number;
  /** D, H, W in voxels, or one number for a cube; 16 to 512 per side. */
  size: number | Vec3;
  /** Default 1. */
  version?: Version;
  /** In version 2: a rater's label for each case that is no test case (default), or everybody's consensus. */
  raters?: boolean;
}

/** Tells whether a case is for testing: every third one. In version 2 its label is the consensus. */
export function isTestCase(index: number): boolean {
  return index % 3 === 2;
}

/**
 * Returns case `index` of the data set `seed`. Equal options give equal bytes on every machine. Throws for a
 * size, seed or index outside its range.
 */
export function phantomCase(options: CaseOptions): PhantomCase {
  const { seed, index, version = 1, raters = true } = options;
  const edge = options.size;
  const size: Vec3 = typeof edge === "number" ? [edge, edge, edge] : edge;
  checkInteger("seed", seed, 0, 2 ** 32 - 1);
  checkInteger("index", index, 0, 2 ** 20 - 1);
  for (const length of size) checkInteger("size", length, 16, 512);
  const random = new Random(seed * 2 ** 20 + index);
  const drawn =
    version === 1 ? drawVersion1(random, size) : drawVersion2(random, size, raters && !isTestCase(index));
  return { ...drawn, size, affine: affineOf(size) };
}

function checkInteger(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new Error(`phantomCase: ${name}: expected an integer from ${low} to ${high}, got ${value}`);
}
