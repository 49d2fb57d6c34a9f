// NIfTI files between nibabel and this program: each reads what the other writes, with the same grid, type
// and voxels, to the last bit. nibabelFiles.py is nibabel's part.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writePrediction } from "../../cli/prediction/predictions.ts";
import type { Dataset } from "../../data/datasets/datasets.ts";
import { readNifti, type Vec3, writeNifti } from "../../data/nifti/nifti.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import { close } from "../support/gradcheck.ts";
import { sourceOf } from "../support/fixtures.ts";

/** The content of a file as nibabel reads it. */
interface Described {
  file: string;
  shape: number[];
  affine: number[][];
  zooms: number[];
  sform: [affine: number[][], code: number];
  qform: [affine: number[][], code: number];
  version: string;
  endianness: "<" | ">";
  dtype: string;
  scaling: [slope: number, intercept: number];
  /** x fastest. */
  voxels: number[];
}

const test = suite("nibabel");
const folder = mkdtempSync(join(tmpdir(), "nibabel-"));
const sources = join(folder, "sources");
test.after(() => rmSync(folder, { recursive: true }));

const python = ["/usr/bin/python3", "python3"].find(
  (command) => spawnSync(command, ["-c", "import nibabel, numpy"]).status === 0,
);
if (python) {
  mkdirSync(sources);
  run("make", sources);
  const names = readdirSync(sources);
  const described = describe(names.map((name) => join(sources, name)));
  for (const source of described) {
    test(`${source.file}, written by nibabel, is read with its grid and voxels`, () =>
      readsAsDescribed(source));
  }
  test("nibabel reads predictions in the grids of all of these files", () => predictsInGridsOf(described));
  test("all kinds of files are covered", () => {
    assert.is(described.length, 25);
    const of = (read: (source: Described) => string) => new Set(described.map(read)).size;
    assert.equal([of((s) => s.version), of((s) => s.endianness), of((s) => s.dtype)], [2, 2, 9]);
    for (const [name, count] of [
      ["sform", 2 * 2 * 2 + 9],
      ["qform", 2 * 2 * 3],
    ] as const)
      assert.is(described.filter((source) => source[name][1] > 0).length, count, name);
  });
  test("nibabel reads the type, grid and voxels of volumes written here", writesForNibabel);
} else {
  console.log("SKIPPED: NIfTI files between nibabel and this program: no python3 with nibabel");
}

async function readsAsDescribed({ file, shape, affine, sform, voxels }: Described): Promise<void> {
  const volume = await readNifti(readFileSync(join(sources, file)), file);
  assert.equal(volume.size.toReversed(), shape);
  assert.equal([...volume.data], voxels);
  if (sform[1] > 0) assert.equal(volume.affine, affine);
  else close(volume.affine.flat(), affine.flat(), 1e-15, "affine, from a quaternion or the voxels' edges");
}

async function predictsInGridsOf(described: readonly Described[]): Promise<void> {
  const paths: string[] = [];
  for (const source of described) paths.push(await predict(source));
  const grid = ({ shape, affine, zooms, sform, qform, version, endianness }: Described) => {
    return { shape, affine, zooms, sform, qform, version, endianness };
  };
  for (const [i, read] of describe(paths).entries()) {
    const { file, voxels } = described[i]!;
    assert.equal(grid(read), grid(described[i]!), file);
    assert.equal([read.dtype, read.scaling, read.voxels], ["uint8", [1, 0], voxels], file);
    const [ours, theirs] = await Promise.all(
      [paths[i]!, join(sources, file)].map((path) => readNifti(readFileSync(path), path)),
    );
    assert.equal(ours!.affine, theirs!.affine, file);
    assert.equal([...ours!.data], voxels, file);
  }
}

/** Prepares the labels of a source, writes them as a prediction of its case, and returns the path. */
async function predict({ file }: Described): Promise<string> {
  const id = file.slice(0, file.indexOf("."));
  const dataset: Dataset = { layout: "brats", convention: "brats", cases: [] };
  const files = { id, images: { t1: { path: file, channel: 0 } }, label: file };
  const source = sourceOf({ [file]: readFileSync(join(sources, file)) });
  const prepared = await loadCase(source, dataset, files, ["t1"], { labels: true });
  const predictions = join(folder, "predictions");
  await writePrediction(predictions, prepared, prepared.label!, "brats");
  return join(predictions, `${id}.nii.gz`);
}

async function writesForNibabel(): Promise<void> {
  const size: Vec3 = [3, 4, 5];
  const affines = {
    oblique: [
      [-1.6, -1.2, 0, 5.3],
      [1.2, -1.6, 0, 6],
      [0, 0, 3, 7.7],
    ],
    sheared: [
      [-1.9, 0.3, 0.1, 40],
      [0.31, 1.95, -0.2, -60],
      [-0.08, 0.18, 2.97, 12],
    ],
    mirrored: [
      [0.5, 0, 0, -10.1],
      [0, -0.75, 0, 0.1],
      [0, 0, -6, 3],
    ],
  };
  const types = {
    uint8: Uint8Array.from({ length: 60 }, (_, i) => 4 * i),
    int16: Int16Array.from({ length: 60 }, (_, i) => 1000 * i - 30000),
    float32: Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
  };
  const written = new Map<string, { affine: number[][]; data: ArrayLike<number> }>();
  for (const [grid, rows] of Object.entries(affines)) {
    for (const [type, data] of Object.entries(types)) {
      const affine = [...rows, [0, 0, 0, 1]];
      const path = join(folder, `${type}-${grid}.nii.gz`);
      writeFileSync(path, await writeNifti({ data, size, affine }));
      written.set(path, { affine: affine.map((row) => row.map(Math.fround)), data });
      assert.equal((await readNifti(readFileSync(path), path)).affine, written.get(path)!.affine);
    }
  }
  for (const [i, read] of describe([...written.keys()]).entries()) {
    const { affine, data } = [...written.values()][i]!;
    assert.equal([read.shape, read.affine, read.voxels], [size.toReversed(), affine, Array.from(data)]);
    assert.ok(read.file.startsWith(`${read.dtype}-`));
    assert.equal([read.version, read.scaling], ["Nifti1Image", [1, 0]]);
    assert.is(read.qform[1], read.file.includes("sheared") ? 0 : 1);
    if (read.qform[1]) close(read.qform[0].flat(), affine.flat(), 1e-6, `${read.file}: qform`);
  }
}

/** Runs nibabelFiles.py read. */
function describe(paths: readonly string[]): Described[] {
  const lines = run("read", ...paths)
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line) as Described);
}

function run(...parameters: string[]): string {
  const script = fileURLToPath(new URL("nibabelFiles.py", import.meta.url));
  const { status, stdout, stderr } = spawnSync(python!, [script, ...parameters], { encoding: "utf8" });
  assert.is(status, 0, stderr);
  return stdout;
}

test.run();
