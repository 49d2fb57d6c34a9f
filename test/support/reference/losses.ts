// The losses in float64, straight from their formulas (Wang et al., ICASSP 2023): voxel by voxel, with whole
// softmaxes and one-hot comparisons, without the kernels' shortcuts.

import type { Array64 } from "../gradcheck.ts";

const scalar = (value: number): Array64 => ({ shape: [], data: Float64Array.of(value) });

/** Batch, channels and voxels of x [N,C,...], and the index of an element. */
function extent({ shape }: Array64) {
  const [batch = 1, channels = 1, ...size] = shape;
  const voxels = size.reduce((a, b) => a * b, 1);
  return {
    batch,
    channels,
    voxels,
    at: (n: number, c: number, v: number) => (n * channels + c) * voxels + v,
  };
}

/** Calls f with the logarithms of the softmax over the channels, for every voxel v of every sample n. */
function eachVoxel(x: Array64, f: (logs: number[], n: number, v: number) => void, temperature = 1): void {
  const { batch, channels, voxels, at } = extent(x);
  for (let n = 0; n < batch; n++) {
    for (let v = 0; v < voxels; v++) {
      const z = Array.from({ length: channels }, (_, c) => x.data[at(n, c, v)]! / temperature);
      const largest = Math.max(...z);
      const sum = Math.log(z.reduce((s, value) => s + Math.exp(value - largest), 0));
      f(
        z.map((value) => value - largest - sum),
        n,
        v,
      );
    }
  }
}

/** Mean of w_c (a - b)² over N, C and voxels, divided by the mean weight; 0 where all weights are 0. */
export function meanSquaredError(a: Array64, b: Array64, weight?: Array64): Array64 {
  const { channels, voxels } = weight ? extent(a) : { channels: 1, voxels: 1 };
  let sum = 0;
  let total = 0;
  for (let i = 0; i < a.data.length; i++) {
    const w = weight?.data[Math.floor(i / voxels) % channels] ?? 1;
    sum += w * (a.data[i]! - b.data[i]!) ** 2;
    total += w;
  }
  return scalar(total > 0 ? sum / total : 0);
}

/** Σ w (-log p) / Σ w over all voxels, with p and w of each voxel's class; 0 where all weights are 0. */
export function crossEntropy(logits: Array64, label: Array64, weight: Array64): Array64 {
  const { voxels } = extent(logits);
  let sum = 0;
  let total = 0;
  eachVoxel(logits, (logs, n, v) => {
    const k = label.data[n * voxels + v]!;
    sum -= weight.data[k]! * logs[k]!;
    total += weight.data[k]!;
  });
  return scalar(total > 0 ? sum / total : 0);
}

/** Mean over the classes of 1 - (2 Σ p g + smooth) / (Σ g² + Σ p² + smooth). */
export function diceLoss(logits: Array64, label: Array64, smooth = 1e-5): Array64 {
  const { channels, voxels } = extent(logits);
  const overlap = new Float64Array(channels);
  const total = new Float64Array(channels);
  eachVoxel(logits, (logs, n, v) => {
    for (let c = 0; c < channels; c++) {
      const p = Math.exp(logs[c]!);
      const g = label.data[n * voxels + v] === c ? 1 : 0;
      overlap[c]! += p * g;
      total[c]! += p * p + g * g;
    }
  });
  return scalar(total.reduce((s, t, c) => s + 1 - (2 * overlap[c]! + smooth) / (t + smooth), 0) / channels);
}

/**
 * Mean over all elements of q (log q - log p), p and q the softmax of logits and targets after division by T.
 */
export function klDivergence(logits: Array64, targets: Array64, temperature = 10): Array64 {
  const { channels, voxels } = extent(logits);
  const logp: number[][] = [];
  eachVoxel(logits, (logs) => logp.push(logs), temperature);
  let sum = 0;
  const add = (logq: number[], n: number, v: number) => {
    for (let c = 0; c < channels; c++) sum += Math.exp(logq[c]!) * (logq[c]! - logp[n * voxels + v]![c]!);
  };
  eachVoxel(targets, add, temperature);
  return scalar(sum / logits.data.length);
}

/** Σ_v [label = k] features / (voxels of k + eps) for each sample, class and channel. */
export function prototypes(features: Array64, label: Array64, classes: number, eps = 1e-5): Array64 {
  const { batch, channels, voxels, at } = extent(features);
  const y = new Float64Array(batch * classes * channels);
  for (let n = 0; n < batch; n++) {
    for (let k = 0; k < classes; k++) {
      const inClass = [...Array(voxels).keys()].filter((v) => label.data[n * voxels + v] === k);
      for (let f = 0; f < channels; f++) {
        const sum = inClass.reduce((s, v) => s + features.data[at(n, f, v)]!, 0);
        y[(n * classes + k) * channels + f] = sum / (inClass.length + eps);
      }
    }
  }
  return { shape: [batch, classes, channels], data: y };
}

/** <f, P> / max(‖f‖ ‖P‖, eps) for each sample, prototype and voxel. */
export function cosineMaps(features: Array64, prototypes: Array64, eps = 1e-5): Array64 {
  const { batch, channels, voxels, at } = extent(features);
  const classes = prototypes.shape[1]!;
  const y = new Float64Array(batch * classes * voxels);
  for (let n = 0; n < batch; n++) {
    for (let k = 0; k < classes; k++) {
      const P = prototypes.data.subarray((n * classes + k) * channels, (n * classes + k + 1) * channels);
      for (let v = 0; v < voxels; v++) {
        const f = Array.from({ length: channels }, (_, c) => features.data[at(n, c, v)]!);
        const product = f.reduce((s, value, c) => s + value * P[c]!, 0);
        y[(n * classes + k) * voxels + v] = product / Math.max(Math.hypot(...f) * Math.hypot(...P), eps);
      }
    }
  }
  return { shape: [batch, classes, ...features.shape.slice(2)], data: y };
}
