// Checks convolutions of millions of voxels against float64, on a sample. An output voxel depends on few
// input voxels, so the reference convolves only those. The gradient of one weight is one sum over all voxels.

import type { Geometry } from "../../engine/convolution/geometry.ts";
import { Random } from "../../engine/index.ts";
import type { Values } from "../../model/networks/params.ts";
import type { Array64 } from "../../test/support/gradcheck.ts";
import * as reference from "../../test/support/reference/conv3d.ts";
import { array64, sizeOf } from "../values.ts";
import { type KernelCase, relativeError } from "./case.ts";

const VOXELS = 24;
const WEIGHTS = 24;

/**
 * Returns the check of conv3d or, if `transposed`, of its transpose, whose x is the small grid and y the
 * large one.
 */
export function convolutionCheck(geometry: Geometry, transposed: boolean): KernelCase["check"] {
  return ({ pass, inputs, dy, results: [result] }) => {
    const { x, weight, bias } = inputs as { x: Values; weight: Values; bias?: Values };
    if (pass.name === "weight gradient") {
      const [small, large] = transposed ? [x, dy!] : [dy!, x];
      return checkPair(result!, small, large, geometry);
    }
    // The forward pass of conv3d gathers, that of its transpose scatters; their data gradients do the
    // opposite.
    const at = transposed === (pass.name === "forward") ? scatterAt : gatherAt;
    const source = pass.name === "forward" ? x : dy!;
    const kernel = array64(weight);
    const [, channels = 0, ...size] = result!.shape;
    const voxels = sizeOf(size);
    const got: number[] = [];
    const want: number[] = [];
    for (const voxel of sample(voxels, VOXELS)) {
      const values = at(source, kernel, unravel(voxel, size), geometry);
      for (let c = 0; c < channels; c++) {
        got.push(result!.data[c * voxels + voxel]!);
        want.push(values[c]! + (pass.name === "forward" ? (bias?.data[c] ?? 0) : 0));
      }
    }
    return relativeError(got, want);
  };
}

/** The channels of one voxel of a convolution: small[o,p] = Σ_{c,k} weight[o,c,k] · large[c, S·p + k - P]. */
function gatherAt(
  large: Values,
  weight: Array64,
  voxel: readonly number[],
  geometry: Geometry,
): Float64Array {
  const { kernel, stride, padding } = geometry;
  const box = window(
    large,
    voxel.map((p) => stride * p - padding),
    kernel,
  );
  return reference.conv3d(box, weight, undefined, { stride, padding: 0 }).data;
}

/** The channels of one voxel of a transposed convolution: large[c,q] = Σ_{o,k} weight[o,c,k] · small[o,p]. */
function scatterAt(
  small: Values,
  weight: Array64,
  voxel: readonly number[],
  geometry: Geometry,
): Float64Array {
  const { kernel, stride, padding } = geometry;
  const first = voxel.map((q) => Math.ceil((q + padding - kernel + 1) / stride)); // the least p to reach q
  const box = window(small, first, kernel);
  const { shape, data } = reference.convTranspose3d(box, weight, undefined, { stride, padding: 0 });
  const [, channels = 0, edge = 0] = shape;
  const [z, y, x] = voxel.map((q, axis) => q + padding - stride * first[axis]!) as [number, number, number];
  return Float64Array.from({ length: channels }, (_, c) => data[((c * edge + z) * edge + y) * edge + x]!);
}

/** Checks the gradients of some weights: weight[o,c,k] = Σ_p small[o,p] · large[c, S·p + k - P]. */
function checkPair(result: Values, small: Values, large: Values, geometry: Geometry): number {
  const { kernel, stride, padding } = geometry;
  const [, inputs = 0] = result.shape;
  const [d, h, w] = small.shape.slice(2) as [number, number, number];
  const size = large.shape.slice(2) as [number, number, number];
  const [D, H, W] = size;
  const picked = sample(result.data.length, WEIGHTS);
  const want = picked.map((index) => {
    const tap = unravel(index % kernel ** 3, [kernel, kernel, kernel]);
    const channel = Math.floor(index / kernel ** 3);
    const [o, c] = [Math.floor(channel / inputs), channel % inputs];
    let sum = 0;
    for (let z = 0; z < d; z++) {
      const Z = stride * z + tap[0]! - padding;
      for (let y = 0; y < h; y++) {
        const Y = stride * y + tap[1]! - padding;
        if (Z < 0 || Y < 0 || Z >= D || Y >= H) continue;
        const [from, to] = [((o * d + z) * h + y) * w, ((c * D + Z) * H + Y) * W];
        for (let x = 0; x < w; x++) {
          const X = stride * x + tap[2]! - padding;
          if (X >= 0 && X < W) sum += small.data[from + x]! * large.data[to + X]!;
        }
      }
    }
    return sum;
  });
  return relativeError(
    picked.map((index) => result.data[index]!),
    want,
  );
}

/** A cube of voxels [1,C,edge,edge,edge] that starts at `first`; zero beyond the volume. */
function window({ shape, data }: Values, first: readonly number[], edge: number): Array64 {
  const [, channels = 0, ...size] = shape;
  const [D, H, W] = size as [number, number, number];
  const box = new Float64Array(channels * edge ** 3);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < edge ** 3; i++) {
      const [z, y, x] = unravel(i, [edge, edge, edge]).map((p, axis) => p + first[axis]!) as [
        number,
        number,
        number,
      ];
      const inside = z >= 0 && y >= 0 && x >= 0 && z < D && y < H && x < W;
      if (inside) box[c * edge ** 3 + i] = data[((c * D + z) * H + y) * W + x]!;
    }
  }
  return { shape: [1, channels, edge, edge, edge], data: box };
}

/** The coordinates of an element of a volume. */
function unravel(index: number, size: readonly number[]): number[] {
  const [, H = 1, W = 1] = size;
  return [Math.floor(index / (H * W)), Math.floor(index / W) % H, index % W];
}

/** Repeatable indices below n, the first and the last among them. */
function sample(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i);
  const random = new Random(n);
  return [0, n - 1, ...Array.from({ length: count - 2 }, () => random.integer(n))];
}
