// The presence of findings by regions in float64, written from its formulas alone.

import type { Array64 } from "../gradcheck.ts";

/** Σ_r softmax_K(scale · c)_rk · softmax_R(scale · d)_rk of each sample and finding. */
export function regionScores(c: Array64, d: Array64, samples: number, scale: number): Array64 {
  const [rows = 1, findings = 1] = c.shape;
  const regions = rows / samples;
  const at = ({ data }: Array64, r: number, k: number) => scale * data[r * findings + k]!;
  const each = (count: number) => Array.from({ length: count }, (_, i) => i);
  const scores = each(samples).flatMap((n) =>
    each(findings).map((k) => {
      const own = each(regions).map((r) => n * regions + r);
      const detected = softmax(own.map((r) => at(d, r, k)));
      const classified = own.map((r) => softmax(each(findings).map((j) => at(c, r, j)))[k]!);
      return detected.reduce((sum, q, i) => sum + q * classified[i]!, 0);
    }),
  );
  return { shape: [samples, findings], data: Float64Array.from(scores) };
}

/** The mean over rows of -Σ [y log max(s, least) + (1 - y) log max(1 - s, least)]. */
export function scoreLoss(scores: Array64, bits: Array64, least: number): Array64 {
  const sum = scores.data.reduce((total, s, i) => {
    const y = bits.data[i]!;
    return total - y * Math.log(Math.max(s, least)) - (1 - y) * Math.log(Math.max(1 - s, least));
  }, 0);
  return { shape: [], data: Float64Array.of(sum / scores.shape[0]!) };
}

/** Each column times its factor. */
export function scaleColumns({ shape, data }: Array64, scale: Array64): Array64 {
  return { shape, data: data.map((x, i) => x * scale.data[i % shape[1]!]!) };
}

function softmax(z: readonly number[]): number[] {
  const largest = Math.max(...z);
  const powers = z.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
