// Resampling in float64, from the definitions: a coordinate of the output is a place in the input.

import type { Array64 } from "../gradcheck.ts";

/** The largest of each 2³ voxels, without a last odd plane. */
export function maxPool3d(x: Array64): Array64 {
  const size = x.shape.slice(2).map((s) => Math.floor(s / 2));
  return resample(x, size, (read, p) => {
    const corners = CORNERS.map((k) => read(k.map((offset, axis) => 2 * p[axis]! + offset)));
    return Math.max(...corners);
  });
}

/** Every voxel 2³ times. */
export function upsampleNearest(x: Array64): Array64 {
  const size = x.shape.slice(2).map((s) => 2 * s);
  return resample(x, size, (read, p) => read(p.map((v) => Math.floor(v / 2))));
}

/** Linear between voxel centres, which lie at whole numbers + ½; constant beyond the outermost. */
export function upsampleTrilinear(x: Array64): Array64 {
  const inner = x.shape.slice(2);
  const [depth, height, width] = inner.map(neighbours) as [Neighbours[], Neighbours[], Neighbours[]];
  return resample(
    x,
    inner.map((s) => 2 * s),
    (read, [d, h, w]) => {
      let sum = 0;
      for (const [z, a] of depth[d!]!) {
        for (const [y, b] of height[h!]!) for (const [v, c] of width[w!]!) sum += a * b * c * read([z, y, v]);
      }
      return sum;
    },
  );
}

/** The two voxels of the input between which a voxel of the output lies along one axis, with their shares. */
type Neighbours = readonly (readonly [voxel: number, share: number])[];

function neighbours(length: number): Neighbours[] {
  return Array.from({ length: 2 * length }, (_, v) => {
    const at = Math.max((v + 0.5) / 2 - 0.5, 0);
    const low = Math.floor(at);
    return [
      [low, 1 - (at - low)],
      [Math.min(low + 1, length - 1), at - low],
    ];
  });
}

const CORNERS = Array.from({ length: 8 }, (_, k) => [k >> 2, (k >> 1) & 1, k & 1]);

/**
 * f for every voxel of an output of this size; f gets a function that reads the input's voxels of the
 * channel.
 */
function resample(
  x: Array64,
  size: number[],
  f: (read: (at: number[]) => number, place: number[]) => number,
): Array64 {
  const [batch = 1, channels = 1, depth = 1, height = 1, width = 1] = x.shape;
  const data: number[] = [];
  for (let plane = 0; plane < batch * channels; plane++) {
    const read = ([d, h, w]: number[]) => x.data[((plane * depth + d!) * height + h!) * width + w!]!;
    for (let d = 0; d < size[0]!; d++) {
      for (let h = 0; h < size[1]!; h++) {
        for (let w = 0; w < size[2]!; w++) data.push(f(read, [d, h, w]));
      }
    }
  }
  return { shape: [batch, channels, ...size], data: Float64Array.from(data) };
}
