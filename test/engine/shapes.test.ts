// The shapes that the rows of each op have: every op needs a batch, an odd size, a volume that its kernels
// sum in several parts, and so on. The inputs' shapes tell what a row has, and the op's source what it needs,
// so that no new op can forget a shape.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { cases } from "../support/cases.ts";
import type { OpCase } from "../support/gradcheck.ts";

/** The first of a row's tensors that has the most axes: [N,C,D,H,W], or a matrix [N,C]. */
interface Extent {
  batch: number;
  channels: number;
  /** D, H, W; empty for a matrix. */
  size: number[];
  voxels: number;
  /** Voxels of the output, where those are more. */
  most: number;
  classes: number;
}

interface Property {
  holds: (extent: Extent, source: string) => boolean;
  /** Tells from the source of an op and of its modules whether the op needs it; by default every op does. */
  needed?: (source: string) => boolean;
}

const WORKGROUP = 64; // invocations
const TILE = 8; // voxels along W, or channels, of an invocation of a convolution; lanes
const CHUNK = 4096; // voxels that a workgroup sums, unless the op's source says more
const QUAD = 4; // classes that a workgroup sums

const properties: Record<string, Property> = {
  "more than a workgroup, and no whole number of tiles": {
    holds: ({ batch, channels, size, voxels }) =>
      ragged(batch * channels * voxels) && (size.length === 0 || ragged(batch * voxels)),
  },
  "more than one sample": { holds: ({ batch }) => batch > 1 },
  "odd sizes only": {
    holds: ({ batch, channels, size }) =>
      (size.length ? size : [batch, channels]).every((length) => length > 1 && length % 2 === 1),
  },
  "one voxel": { holds: ({ voxels }) => voxels === 1 },
  "one channel": { holds: ({ channels }) => channels === 1 },
  "40 channels": { holds: ({ channels }) => channels === 40 },
  "more than one chunk, the last not full": {
    holds: ({ most }, source) => most > chunkOf(source) && most % chunkOf(source) !== 0,
    needed: (source) => /\bCHUNK\b|\bchunks\b/.test(source),
  },
  "more than four classes, no whole number of fours": {
    holds: ({ classes }) => classes > QUAD && classes % QUAD !== 0,
    needed: (source) => /\bquads\b/.test(source),
  },
  "more than a chunk of voxels in whole fours": {
    holds: ({ size, voxels, most }, source) =>
      size.length === 0 || (voxels % QUAD === 0 && most > chunkOf(source)),
    needed: (source) => /\bloadsOf\b/.test(source),
  },
  "rows of more than one tile, the last not full": {
    holds: ({ size }) => size.length > 0 && size.at(-1)! > TILE && size.at(-1)! % TILE !== 0,
    needed: (source) => /\btileWidth\b/.test(source),
  },
  "whole tiles of rows and of channels": {
    holds: ({ batch, channels, size }) =>
      batch > 1 && [channels, size.at(-1)].every((length) => length! % TILE === 0),
    needed: (source) => /\btileWidth\b/.test(source),
  },
};

/** Voxels that a workgroup of an op's kernels sums, at most. */
function chunkOf(source: string): number {
  return Math.max(CHUNK, ...Array.from(source.matchAll(/\bCHUNK = (\d+)/g), ([, voxels]) => Number(voxels)));
}

function ragged(elements: number): boolean {
  return elements > WORKGROUP && elements % TILE !== 0;
}

/** Properties that an op has no row for, and why. */
const exemptions: Record<string, Record<string, string>> = {
  regionScores: { "one channel": "the scores of a single finding are 1, and have no gradient" },
  maxPool3d: { "one voxel": "a window has 2³ voxels; fewer are refused" },
  regionLogits: { "one channel": "a region lacks one class at least; one class alone is refused" },
  normaliseChannels: { "one channel": "that is the sign of x, whose gradient is 0 but for rounding" },
  angleLoss: { "one channel": "rows of one number have no angles: their cosines are 1 or -1" },
  barlowTwins: {
    "more than one chunk, the last not full":
      "it takes no voxels: its chunks are of the matrix of correlations, and a row has one of 70²",
  },
};

test("every op has a row for each kind of shape that its kernels treat differently", () => {
  const missing = byOp().flatMap(([op, rows]) =>
    Object.entries(properties)
      .filter(([name, { needed }]) => !exemptions[op]?.[name] && (needed?.(sourceOf(op)) ?? true))
      .filter(([, { holds }]) => !rows.some((row) => holds(extentOf(row), sourceOf(op))))
      .map(([name]) => `${op}: ${name}`),
  );
  assert.equal(missing, []);
});

test("exempted properties have no row", () => {
  const rows = new Map(byOp());
  for (const [op, reasons] of Object.entries(exemptions)) {
    for (const name of Object.keys(reasons)) {
      const { holds } = properties[name]!;
      assert.ok(
        rows.has(op) && !rows.get(op)!.some((row) => holds(extentOf(row), sourceOf(op))),
        `${op}: ${name}`,
      );
    }
  }
});

test("properties that only some ops need are required of those that are known to need them", () => {
  const needing = (name: string) =>
    byOp()
      .map(([op]) => op)
      .filter((op) => properties[name]!.needed!(sourceOf(op)));
  for (const rows of ["rows of more than one tile, the last not full", "whole tiles of rows and of channels"])
    assert.equal(needing(rows), ["conv3d", "convTranspose3d"]);
  const chunked = needing("more than one chunk, the last not full");
  for (const op of ["channelSum", "instanceNorm", "batchNormEval", "statisticsL2", "conv3d"])
    assert.ok(chunked.includes(op), op);
  assert.not(chunked.includes("relu"));
  const fours = needing("more than four classes, no whole number of fours");
  for (const op of ["diceLoss", "prototypes", "cosineMaps", "classMeans", "classLevelKl"])
    assert.ok(fours.includes(op), op);
});

test("no two rows of an op have the same name", () => {
  const names = cases.map(({ op, name }) => `${op}, ${name}`);
  assert.equal(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

/** The rows of each op that takes more than scalars. */
function byOp(): [op: string, rows: OpCase[]][] {
  const ops = [...new Set(cases.map(({ op }) => op))];
  return ops
    .map((op): [string, OpCase[]] => [op, cases.filter((row) => row.op === op)])
    .filter(([, rows]) => rows.some(({ inputs }) => Object.values(inputs).some(({ shape }) => shape.length)));
}

function extentOf({ inputs, constants, reference }: OpCase): Extent {
  const arrays = { ...inputs, ...constants };
  const { shape } = Object.values(arrays).reduce((a, b) => (b.shape.length > a.shape.length ? b : a));
  const [batch = 1, channels = 1, ...size] = shape;
  const label = arrays["label"] ?? arrays["labelA"];
  const volume = (lengths: readonly number[]) => lengths.reduce((a, b) => a * b, 1);
  return {
    batch,
    channels,
    size,
    voxels: volume(size),
    most: Math.max(volume(size), volume(reference(arrays).shape.slice(2))),
    classes: arrays["prototypes"]?.shape[1] ?? (label ? Math.max(...label.data) + 1 : channels),
  };
}

const plumbing = /engine\/(gpu|autograd)\/|shaders\/types\.ts$/; // the same for all ops

/**
 * The text of the module that exports an op and of the modules it imports: other ops and modules that load
 * shaders.
 */
function sourceOf(op: string): string {
  const folder = join(import.meta.dirname, "../../engine/ops");
  const file = readdirSync(folder).find(
    (name) =>
      name.endsWith(".ts") && readFileSync(join(folder, name), "utf8").includes(`export function ${op}(`),
  );
  const texts = new Map<string, string>();
  const visit = (path: string): void => {
    if (texts.has(path)) return;
    texts.set(path, plumbing.test(path) ? "" : readFileSync(path, "utf8"));
    for (const [, name] of texts.get(path)!.matchAll(/ from "(\.[^"]+)"/g)) visit(join(dirname(path), name!));
  };
  visit(join(folder, file!));
  return [...texts.values()].join("\n");
}

test.run();
