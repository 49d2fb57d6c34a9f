// Convolution and its transpose in float64, straight from their definitions.

import type { Array64 } from "../gradcheck.ts";

interface Geometry {
  stride: number;
  padding: number;
}

/**
 * Every (small voxel p, large voxel q, tap k) with q = S·p + k - P inside the large volume, three numbers
 * each. Kept, since central differences need the same list some hundred times.
 */
function triples(
  small: readonly number[],
  large: readonly number[],
  K: number,
  geometry: Geometry,
): Int32Array {
  const key = JSON.stringify([small, large, K, geometry]);
  const known = remembered.get(key);
  if (known) return known;
  const [d, h, w] = small as [number, number, number];
  const [D, H, W] = large as [number, number, number];
  const { stride, padding } = geometry;
  const list: number[] = [];
  for (let z = 0; z < d; z++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        for (let k = 0; k < K ** 3; k++) {
          const Z = z * stride + Math.floor(k / K ** 2) - padding;
          const Y = y * stride + (Math.floor(k / K) % K) - padding;
          const X = x * stride + (k % K) - padding;
          if (Z < 0 || Y < 0 || X < 0 || Z >= D || Y >= H || X >= W) continue;
          list.push((z * h + y) * w + x, (Z * H + Y) * W + X, k);
        }
  remembered.set(key, Int32Array.from(list));
  return remembered.get(key)!;
}

const remembered = new Map<string, Int32Array>();

const volume = (size: readonly number[]) => size.reduce((a, b) => a * b, 1);

/** x [N,C,D,H,W], weight [O,C,K,K,K], bias [O] → [N,O,…]. */
export function conv3d(x: Array64, weight: Array64, bias: Array64 | undefined, geometry: Geometry): Array64 {
  const [N, C, ...size] = x.shape as [number, number, ...number[]];
  const [O, , K] = weight.shape as [number, number, number];
  const outSize = size.map((s) => Math.floor((s + 2 * geometry.padding - K) / geometry.stride) + 1);
  const list = triples(outSize, size, K, geometry);
  const y = new Float64Array(N * O * volume(outSize));
  y.forEach((_, i) => (y[i] = bias?.data[Math.floor(i / volume(outSize)) % O] ?? 0));
  for (let n = 0; n < N; n++)
    for (let o = 0; o < O; o++)
      for (let c = 0; c < C; c++) {
        const [w, to, source] = [
          (o * C + c) * K ** 3,
          (n * O + o) * volume(outSize),
          (n * C + c) * volume(size),
        ];
        for (let i = 0; i < list.length; i += 3) {
          y[to + list[i]!]! += weight.data[w + list[i + 2]!]! * x.data[source + list[i + 1]!]!;
        }
      }
  return { shape: [N, O, ...outSize], data: y };
}

/** x [N,I,D,H,W], weight [I,O,K,K,K], bias [O] → [N,O,…]. */
export function convTranspose3d(
  x: Array64,
  weight: Array64,
  bias: Array64 | undefined,
  { outputPadding = 0, ...geometry }: Geometry & { outputPadding?: number },
): Array64 {
  const [N, I, ...size] = x.shape as [number, number, ...number[]];
  const [, O, K] = weight.shape as [number, number, number];
  const outSize = size.map((s) => (s - 1) * geometry.stride - 2 * geometry.padding + K + outputPadding);
  const list = triples(size, outSize, K, geometry);
  const y = new Float64Array(N * O * volume(outSize));
  y.forEach((_, i) => (y[i] = bias?.data[Math.floor(i / volume(outSize)) % O] ?? 0));
  for (let n = 0; n < N; n++)
    for (let o = 0; o < O; o++)
      for (let c = 0; c < I; c++) {
        const [w, to, source] = [
          (c * O + o) * K ** 3,
          (n * O + o) * volume(outSize),
          (n * I + c) * volume(size),
        ];
        for (let i = 0; i < list.length; i += 3) {
          y[to + list[i + 1]!]! += weight.data[w + list[i + 2]!]! * x.data[source + list[i]!]!;
        }
      }
  return { shape: [N, O, ...outSize], data: y };
}
