// The odd NIfTI files in ../shared/data/nifti-edge, compared with what nibabel reads from each.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DataError } from "../../data/errors.ts";
import { cornerDisplacement } from "../../data/nifti/geometry.ts";
import { readNifti, type Volume } from "../../data/nifti/nifti.ts";

const test = suite("niftiEdge");

interface Entry {
  path: string;
  shape?: number[];
  affine?: number[][];
  zooms?: number[];
  stats?: { min: number; max: number; mean: number; nonfinite: number };
  probe_linear_F_order?: Record<string, number | string>;
  nibabel_error?: string;
}
const shared = join(import.meta.dirname, "../../../shared/data");
const entries: Entry[] = existsSync(join(shared, "manifest.json"))
  ? (JSON.parse(readFileSync(join(shared, "manifest.json"), "utf8")) as Entry[])
  : [];

/** Files that nibabel reads and this program deliberately refuses. */
const REFUSED_HERE: Record<string, RegExp> = {
  "generated/analyze75_int16.hdr": /Analyze 7\.5: that format does not tell left from right/,
  "generated/rgb24.nii.gz": /RGB colours/,
  "nibabel/row_major.dconn.nii": /expected a volume, or several/,
};
// Recognised by their content, not by their name.
const READ_HERE = ["generated/misnamed_gzip.nii", "generated/misnamed_plain.nii.gz"];
const SAME_VOXELS = "nifti-edge/generated/multimember_gzip.nii.gz"; // the same voxels as these two

const odd = entries.filter(({ path }) => path.startsWith("nifti-edge/") && !/\.img(\.gz)?$/.test(path));
if (!odd.length) console.log("SKIPPED: nifti-edge: no ../shared/data/manifest.json");
for (const entry of odd) {
  const name = entry.path.slice("nifti-edge/".length);
  const read = () => {
    const path = join(shared, entry.path);
    const image = path.replace(/\.hdr(\.gz)?$/, ".img$1");
    return readNifti(
      readFileSync(path),
      name,
      image !== path && existsSync(image) ? readFileSync(image) : undefined,
    );
  };
  const refusal =
    REFUSED_HERE[name] ?? (entry.nibabel_error && !READ_HERE.includes(name) ? /expected .*, got / : null);
  if (refusal) {
    test(`${name} is refused with a message that gives the reason`, async () => {
      const error = await read().then(
        () => assert.unreachable("it was read"),
        (thrown: unknown) => thrown,
      );
      assert.instance(error, DataError);
      assert.match((error as DataError).message, refusal);
      assert.ok((error as DataError).message.startsWith(name));
    });
  } else {
    const known = READ_HERE.includes(name) ? entries.find(({ path }) => path === SAME_VOXELS)! : entry;
    test(`${name} has the values that nibabel reads`, async () => compare(await read(), known));
  }
}

function compare(
  volume: Volume,
  { shape, affine, zooms, stats, probe_linear_F_order: probes = {} }: Entry,
): void {
  if (!shape || !affine || !stats) throw new Error("the manifest has no values for this file");
  const [width = 1, height = 1, depth = 1, ...others] = shape;
  assert.equal(volume.size, [depth, height, width]);
  assert.is(
    volume.channels,
    others.reduce((product, length) => product * length, 1),
  );
  assert.ok(cornerDisplacement(volume.affine, affine, volume.size) < 1e-3, "affine");
  for (const [axis, zoom] of (zooms ?? []).slice(0, 3).entries())
    near(volume.spacing[2 - axis]!, zoom, 1e-3, "spacing");

  let [min, max, sum, finite] = [Infinity, -Infinity, 0, 0];
  for (const value of volume.data) {
    if (!Number.isFinite(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    finite++;
  }
  const scale = Math.max(Math.abs(stats.min), Math.abs(stats.max), 1e-9);
  near(min, stats.min, 1e-6 * scale, "min");
  near(max, stats.max, 1e-6 * scale, "max");
  near(sum / finite, stats.mean, 1e-6 * scale, "mean");
  assert.is(volume.data.length - finite, stats.nonfinite);
  for (const [index, expected] of Object.entries(probes)) {
    const value = volume.data[Number(index)]!;
    if (typeof expected === "string")
      assert.is(String(value).toLowerCase().replace("infinity", "inf"), expected);
    else near(value, expected, 1e-6 * scale, `voxel ${index}`);
  }
}

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: expected ${expected}, got ${actual}`);
}

test.run();
