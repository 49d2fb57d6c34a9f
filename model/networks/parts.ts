// Runs a network on a batch whose activations exceed the largest binding: as many samples at a time as fit,
// under one tape, and joins their logits, which are smaller. With instance norm this is the same function;
// batch norm couples the samples, so that such a batch cannot be cut.

import {
  BYTES,
  bytesText,
  type Device,
  free,
  GpuError,
  samples,
  stack,
  type Tensor,
} from "../../engine/index.ts";
import { largest, smallest } from "../../engine/values.ts";
import type { How, Output } from "./architecture.ts";
import { architectureOf, forward, type Network } from "./network.ts";

/**
 * A network's output for a batch. Features that are too large for one tensor come in parts of a few samples.
 */
export interface BatchOutput {
  /** [N,classes,D,H,W] */
  logits: Tensor;
  /** Features by name, in parts [n,F,D,H,W] whose n add up to N; usually one part. */
  taps: Readonly<Record<string, readonly Tensor[]>>;
  /** Logits of the auxiliary heads, the finest first. */
  coarse: readonly Tensor[];
}

/** The sizes of a network in a step; `trained`: the step trains it. */
export type Sized = Pick<Network, "config" | "precision" | "architecture"> & { trained: boolean };

/**
 * The number of samples that the networks of a step can take at once. Throws a GpuError if not even one fits,
 * or if a tensor that cannot be cut does not fit: a batch's images and logits, or a batch under batch norm.
 */
export function samplesTogether(
  device: Device,
  networks: readonly Sized[],
  batch: number,
  patch: readonly number[],
): number {
  const all = networks.map((network) => ({
    ...architectureOf(network).extents(network.config),
    trained: network.trained,
    bytes: BYTES[network.precision ?? "f32"],
  }));
  const voxels = patch.reduce((a, b) => a * b, 1);
  const fitting = (channels: number, bytes = 4) => Math.floor(device.largest / (bytes * channels * voxels));
  const refuse = (what: string, remedy: string): never => {
    const limit = `this adapter's largest binding, ${bytesText(device.largest)}`;
    throw new GpuError(
      "out-of-memory",
      `${what} of patches of ${patch.join("x")} exceed ${limit}: ${remedy}`,
    );
  };
  const whole = fitting(largest(all.map((network) => network.whole)));
  const cut = smallest(all.map(({ widest, bytes }) => fitting(widest, bytes)));
  if (whole < 1 || cut < 1) refuse("activations", "choose a smaller patch or number of filters");
  if (whole < batch) refuse(`images or logits of a batch of ${batch}`, `choose a batch of at most ${whole}`);
  if (cut < batch && all.some(({ trained, coupled }) => trained && coupled)) {
    const most = `choose a batch of at most ${cut}, or instance norm, which takes a batch in parts`;
    refuse(`activations of a batch of ${batch}, whose samples batch norm couples,`, most);
  }
  return Math.min(batch, cut);
}

/** Runs a network on a batch x [N,M,D,H,W], at most `together` samples at a time. */
export function forwardBatch(network: Network, x: Tensor, how: How, together: number): BatchOutput {
  const batch = x.shape[0]!;
  if (batch <= together) return inOnePart(forward(network, x, how));
  const outputs: Output[] = [];
  for (let from = 0; from < batch; from += together) {
    const part = samples(x, from, Math.min(batch, from + together));
    outputs.push(forward(network, part, how));
    free(part);
  }
  const joined = (pick: (output: Output) => Tensor) => {
    const stacked = stack(outputs.map(pick));
    outputs.map(pick).forEach(free);
    return stacked;
  };
  const names = Object.keys(outputs[0]!.taps);
  const coarse = outputs[0]!.coarse.map((_, level) => joined((output) => output.coarse[level]!));
  return {
    coarse,
    logits: joined(({ logits }) => logits),
    taps: Object.fromEntries(names.map((name) => [name, outputs.map(({ taps }) => taps[name]!)])),
  };
}

/** The output of a batch that ran at once. */
export function inOnePart({ logits, taps, coarse }: Output): BatchOutput {
  const single = Object.entries(taps).map(([name, features]) => [name, [features]] as const);
  return { logits, taps: Object.fromEntries(single), coarse };
}

/** Joins the parts of a tap's features to one tensor [N,F,D,H,W]. */
export function whole(parts: readonly Tensor[]): Tensor {
  return parts.length === 1 ? parts[0]! : stack(parts);
}
