// Normalisations in float64, from their definitions.

import type { Array64 } from "../gradcheck.ts";

/** Σ over samples and voxels: [N,C,...] → [C]. */
export function channelSum({ shape, data }: Array64): Array64 {
  const [, channels, voxels] = rows(shape);
  const sum = new Float64Array(channels);
  data.forEach((value, i) => (sum[Math.floor(i / voxels) % channels]! += value));
  return { shape: [channels], data: sum };
}

function rows([batch = 1, channels = 1, ...size]: readonly number[]): [batch: number, channels: number, voxels: number] {
  return [batch, channels, size.reduce((a, b) => a * b, 1)];
}
