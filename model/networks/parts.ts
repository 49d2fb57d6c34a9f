// A batch whose activations are larger than a binding may be: the network runs on as many samples at a time as fit,
// under one tape, and the logits, which are smaller, are put together again. With instance norm that is
// the same function; batch norm couples the samples, and cannot be cut.

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
import { asideLogits } from "../losses/deepSupervision.ts";
import type { BatchOutput, Output } from "../losses/losses.ts";
import { forward, type Network } from "./network.ts";
import type { Mode } from "./vnet.ts";
import type { Aside } from "./layers.ts";

type Sized = Pick<Network, "config" | "precision">;

/**
 * How many samples of a batch the networks can take at once; `trained` is the one that is in training mode. Throws a
 * GpuError where not even one fits, or where what cannot be cut does not: a batch's images and logits.
 */
export function samplesTogether(
  device: Device,
  { trained, teacher }: { trained: Sized; teacher: Sized | null },
  batch: number,
  patch: readonly number[],
): number {
  const configs = [trained, ...(teacher ? [teacher] : [])].map(({ config }) => config);
  const voxels = patch.reduce((a, b) => a * b, 1);
  const fitting = (channels: number, bytes = 4) => Math.floor(device.largest / (bytes * channels * voxels));
  const refuse = (what: string, remedy: string): never => {
    const limit = `this adapter's largest binding, ${bytesText(device.largest)}`;
    throw new GpuError(
      "out-of-memory",
      `${what} of patches of ${patch.join("x")} exceed ${limit}: ${remedy}`,
    );
  };
  const whole = fitting(Math.max(...configs.flatMap(({ classes, modalities }) => [classes, modalities])));
  const bytes = BYTES[trained.precision ?? "f32"];
  const cut = fitting(Math.max(...configs.map(({ filters }) => filters)), bytes); // at full resolution
  if (whole < 1 || cut < 1) refuse("activations", "choose a smaller patch or number of filters");
  if (whole < batch) refuse(`images or logits of a batch of ${batch}`, `choose a batch of at most ${whole}`);
  if (cut < batch && trained.config.norm === "batch") {
    const most = `choose a batch of at most ${cut}, or instance norm, which takes a batch in parts`;
    refuse(`activations of a batch of ${batch}, whose samples batch norm couples,`, most);
  }
  return Math.min(batch, cut);
}

/** What a network makes of a batch x [N,M,D,H,W], at most `together` samples at a time. */
export function forwardBatch(network: Network, x: Tensor, mode: Mode, together: number): BatchOutput {
  const batch = x.shape[0]!;
  if (batch <= together) return forward(network, x, mode);
  const outputs: Output[] = [];
  for (let from = 0; from < batch; from += together) {
    const part = samples(x, from, Math.min(batch, from + together));
    outputs.push(forward(network, part, mode));
    free(part);
  }
  const joined = (pick: (output: Output) => Tensor) => {
    const stacked = stack(outputs.map(pick));
    outputs.map(pick).forEach(free);
    return stacked;
  };
  const coarse = asideLogits(outputs[0]!).map(([aside]) => [aside, joined((output) => output[aside]!)]);
  return {
    features: outputs.map(({ features }) => features),
    logits: joined(({ logits }) => logits),
    ...(Object.fromEntries(coarse) as Partial<Record<Aside, Tensor>>),
  };
}
