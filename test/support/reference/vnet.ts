// A V-Net in float64, forwards and backwards, one operation after the other from its definition. Its values
// may be replaced after each operation by those of another arithmetic (a GPU's): then it tells how exact each
// single operation was, and its gradient is the true one at that arithmetic's own values.

import type { Mode } from "../../../model/networks/architecture.ts";
import type { VnetConfig } from "../../../model/networks/vnet.ts";
import { type Layer, type LayerTensors, layerTensors, vnetLayers } from "../../../model/networks/layers.ts";
import { relativeError } from "../gradcheck.ts";

/** The network's operations, on values T. */
export interface Operations<T> {
  convolve(x: T, layer: Layer): T;
  normalise(x: T, layer: Layer): T;
  relu(x: T): T;
  add(a: T, b: T): T;
}

/** The forward pass of model/networks/vnet.ts with any operations. */
export function walk<T>(config: VnetConfig, x: T, to: Operations<T>): { features: T; logits: T } {
  const skips: T[] = [];
  let features = x;
  for (const layer of vnetLayers(config)) {
    if (layer.kind === "down") skips.push(x);
    if (layer.kind === "head") features = x;
    x = to.convolve(x, layer);
    if (layer.kind !== "head") x = to.relu(to.normalise(x, layer));
    if (layer.kind === "up") x = to.add(x, skips.pop()!);
  }
  return { features, logits: x };
}

/** A value and its gradient so far. */
export interface Node {
  shape: readonly number[];
  data: Float64Array;
  grad: Float64Array;
}

export function node(shape: readonly number[], data?: ArrayLike<number>): Node {
  const size = volume(shape);
  const values = data ? Float64Array.from({ length: size }, (_, i) => data[i]!) : new Float64Array(size);
  return { shape, data: values, grad: new Float64Array(size) };
}

/** One forward pass, and the backward pass that follows it. */
export class Float64Vnet implements Operations<Node> {
  readonly features: Node;
  readonly logits: Node;
  /** The trained parameters, their gradients after backward(). */
  readonly params = new Map<string, Node>();
  /** The normalised values, in order: ReLU's arguments. */
  readonly activations: Float64Array[] = [];
  /** The largest relative error of `own` in one operation. */
  worstError = 0;
  readonly #tape: (() => void)[] = [];
  readonly #config: VnetConfig;
  readonly #values: Record<string, { data: ArrayLike<number> }>;
  readonly #own: readonly Float32Array[] | null;
  readonly #mode: Mode;
  #calls = 0;

  /**
   * `own`: what another arithmetic got from each operation, in order; each replaces the value computed here.
   */
  constructor(
    config: VnetConfig,
    values: Record<string, { data: ArrayLike<number> }>,
    x: Node,
    { own = null, mode = "train" }: { own?: readonly Float32Array[] | null; mode?: Mode } = {},
  ) {
    this.#config = config;
    this.#values = values;
    this.#own = own;
    this.#mode = mode;
    const { features, logits } = walk<Node>(config, x, this);
    this.features = features;
    this.logits = logits;
  }

  /** Computes the gradients of all parameters from those set for features and logits. */
  backward(): void {
    for (const step of this.#tape.toReversed()) step();
  }

  convolve(x: Node, layer: Layer): Node {
    const { weight, bias } = this.#tensors(layer);
    const transposed = layer.kind === "up";
    const [N, , ...size] = x.shape as [number, number, ...number[]];
    const stride = layer.kind === "down" || transposed ? 2 : 1;
    const y = node([N, layer.outputs, ...size.map((s) => (transposed ? s * stride : s / stride))]);
    const [small, large] = transposed ? [x, y] : [y, x];
    const taps = tapsOf(small.shape, large.shape, weight.shape[2]!, stride);

    if (bias) eachChannel(y, (c, i) => (y.data[i] = bias.data[c]!));
    if (transposed) scatter(small.data, large.data, weight.data, taps);
    else gather(small.data, large.data, weight.data, taps);
    this.#tape.push(() => {
      if (transposed) gather(small.grad, large.grad, weight.data, taps);
      else scatter(small.grad, large.grad, weight.data, taps);
      if (transposed) pair(small.data, large.grad, weight.grad, taps);
      else pair(small.grad, large.data, weight.grad, taps);
      if (bias) eachChannel(y, (c, i) => (bias.grad[c]! += y.grad[i]!));
    });
    return this.#done(y);
  }

  normalise(x: Node, layer: Layer): Node {
    const { weight, bias, running } = this.#tensors(layer).norm!;
    const [N, C, ...size] = x.shape as [number, number, ...number[]];
    const voxels = volume(size);
    const together = this.#config.norm === "batch" ? N : 1;
    const count = together * voxels;
    const y = node(x.shape);
    /** Calls f with each index of values of the channel that share statistics. */
    const each = (group: number, c: number, f: (i: number) => void) => {
      for (let n = group * together; n < (group + 1) * together; n++) {
        for (let i = (n * C + c) * voxels; i < (n * C + c + 1) * voxels; i++) f(i);
      }
    };
    for (let group = 0; group < N / together; group++) {
      for (let c = 0; c < C; c++) {
        let mean = 0;
        let variance = 0;
        if (running && this.#mode === "eval") {
          mean = running.mean.data[c]!; // without a backward pass: only a teacher is evaluated
          variance = running.variance.data[c]!;
        } else {
          each(group, c, (i) => (mean += x.data[i]! / count));
          each(group, c, (i) => (variance += (x.data[i]! - mean) ** 2 / count));
        }
        const rstd = 1 / Math.sqrt(variance + 1e-5);
        const [w, b] = [weight.data[c]!, bias.data[c]!];
        each(group, c, (i) => (y.data[i] = w * (x.data[i]! - mean) * rstd + b));
        this.#tape.push(() => {
          let sum = 0;
          let along = 0;
          each(group, c, (i) => {
            sum += y.grad[i]!;
            along += y.grad[i]! * (x.data[i]! - mean) * rstd;
          });
          weight.grad[c]! += along;
          bias.grad[c]! += sum;
          each(group, c, (i) => {
            const through = (sum + (x.data[i]! - mean) * rstd * along) / count;
            x.grad[i]! += w * rstd * (y.grad[i]! - through);
          });
        });
      }
    }
    this.#done(y);
    this.activations.push(y.data);
    return y;
  }

  relu(x: Node): Node {
    const y = node(
      x.shape,
      x.data.map((value) => Math.max(value, 0)),
    );
    this.#tape.push(() => y.data.forEach((value, i) => (x.grad[i]! += value > 0 ? y.grad[i]! : 0)));
    return this.#done(y);
  }

  add(a: Node, b: Node): Node {
    const y = node(
      a.shape,
      a.data.map((value, i) => value + b.data[i]!),
    );
    this.#tape.push(() => {
      y.grad.forEach((g, i) => {
        a.grad[i]! += g;
        b.grad[i]! += g;
      });
    });
    return this.#done(y);
  }

  /** Replaces our value by the other arithmetic's, if there is one. */
  #done(y: Node): Node {
    const own = this.#own?.[this.#calls++];
    if (own) {
      this.worstError = Math.max(this.worstError, relativeError(own, y.data));
      y.data.set(own);
    }
    return y;
  }

  #tensors(layer: Layer): LayerTensors<Node> {
    const known = (name: string, shape: readonly number[]) => {
      const made = this.params.get(name) ?? node(shape, this.#values[name]!.data);
      this.params.set(name, made);
      return made;
    };
    const statistic = (name: string, shape: readonly number[]) => node(shape, this.#values[name]!.data);
    return layerTensors({ weight: known, constant: known, statistic }, layer, this.#config.norm);
  }
}

function volume(size: readonly number[]): number {
  return size.reduce((a, b) => a * b, 1);
}

function eachChannel({ shape, data }: Node, f: (c: number, i: number) => void): void {
  const voxels = volume(shape.slice(2));
  for (let i = 0; i < data.length; i++) f(Math.floor(i / voxels) % shape[1]!, i);
}

/**
 * Which voxels a convolution's taps join, in runs along W: [tap, first of small, first of large, how many]
 * each.
 */
interface Taps {
  runs: Int32Array;
  stride: number;
  /** [N, channels, voxels] of both sides, and taps of a kernel. */
  small: readonly [number, number, number];
  large: readonly [number, number, number];
  kernel: number;
}

/**
 * Large voxel q = stride·p + k - padding meets small voxel p through tap k; 3³ has padding 1, others none.
 */
function tapsOf(small: readonly number[], large: readonly number[], K: number, stride: number): Taps {
  const [d, h, w] = small.slice(2) as [number, number, number];
  const [D, H, W] = large.slice(2) as [number, number, number];
  const padding = K === 3 ? 1 : 0;
  const runs: number[] = [];
  for (let k = 0; k < K ** 3; k++) {
    const [kz, ky, kx] = [Math.floor(k / K ** 2), Math.floor(k / K) % K, k % K];
    const first = Math.max(0, Math.ceil((padding - kx) / stride));
    const last = Math.min(w - 1, Math.floor((W - 1 + padding - kx) / stride));
    for (let z = 0; z < d; z++) {
      for (let y = 0; y < h; y++) {
        const [Z, Y] = [z * stride + kz - padding, y * stride + ky - padding];
        if (Z < 0 || Y < 0 || Z >= D || Y >= H) continue;
        const from = (Z * H + Y) * W + first * stride + kx - padding;
        runs.push(k, (z * h + y) * w + first, from, last - first + 1);
      }
    }
  }
  const sizes = (shape: readonly number[]) => [shape[0]!, shape[1]!, volume(shape.slice(2))] as const;
  return { runs: Int32Array.from(runs), stride, small: sizes(small), large: sizes(large), kernel: K ** 3 };
}

/** Calls f for every run of every pair of channels, with the places of its weight, small and large voxels. */
function eachRun(
  { runs, small, large, kernel }: Taps,
  f: (weight: number, s: number, l: number, count: number) => void,
): void {
  const [N, O, smallVoxels] = small;
  const [, C, largeVoxels] = large;
  for (let n = 0; n < N; n++) {
    for (let o = 0; o < O; o++) {
      for (let c = 0; c < C; c++) {
        const [w, s, l] = [(o * C + c) * kernel, (n * O + o) * smallVoxels, (n * C + c) * largeVoxels];
        for (let r = 0; r < runs.length; r += 4) {
          f(w + runs[r]!, s + runs[r + 1]!, l + runs[r + 2]!, runs[r + 3]!);
        }
      }
    }
  }
}

/** small += weight · large */
function gather(small: Float64Array, large: Float64Array, weight: Float64Array, taps: Taps): void {
  eachRun(taps, (w, s, l, count) => {
    const factor = weight[w]!;
    for (let i = 0; i < count; i++, l += taps.stride) small[s + i]! += factor * large[l]!;
  });
}

/** large += weight · small */
function scatter(small: Float64Array, large: Float64Array, weight: Float64Array, taps: Taps): void {
  eachRun(taps, (w, s, l, count) => {
    const factor = weight[w]!;
    for (let i = 0; i < count; i++, l += taps.stride) large[l]! += factor * small[s + i]!;
  });
}

/** weight += small · large */
function pair(small: Float64Array, large: Float64Array, weight: Float64Array, taps: Taps): void {
  eachRun(taps, (w, s, l, count) => {
    let sum = 0;
    for (let i = 0; i < count; i++, l += taps.stride) sum += small[s + i]! * large[l]!;
    weight[w]! += sum;
  });
}
