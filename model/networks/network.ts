// A network with its parameters, and how it is run.

import { cast, type Device, free, GpuError, type Plan, plan, type Precision } from "../../engine/index.ts";
import { scope, softmax, Tensor } from "../../engine/index.ts";
import type { Output } from "../losses/losses.ts";
import type { Params } from "./params.ts";
import { type Mode, vnet, type VnetConfig } from "./vnet.ts";

/** A network with its parameters. */
export interface Network {
  params: Params;
  config: VnetConfig;
  /** Of its activations; parameters, statistics and logits are f32 either way. By default f32. */
  precision?: Precision;
  /** Whether the backward pass computes activations again instead of finding them kept: the same bits, in less memory. */
  lean?: boolean;
}

/** Runs a network as part of what surrounds it: under grad() it is taped, elsewhere not. */
export function forward(network: Network, x: Tensor, mode: Mode): Output {
  const { params, config, precision = "f32", lean } = network;
  return scope(() => vnet(params, cast(x, precision), config, mode, lean));
}

/** Makes a network's parameters, and returns what must be compiled before it predicts a patch [D,H,W]. */
export function touch(device: Device, network: Network, patch: readonly number[]): Plan {
  const planned = plan(device, () => {
    const x = new Tensor(device, [1, network.config.modalities, ...patch]);
    scope(() => void softmax(forward(network, x, "eval").logits));
    free(x);
  });
  network.params.checkUsed();
  return planned;
}

/** Throws unless the device computes in a precision. */
export function checkPrecision({ gpu }: Device, precision: Precision): void {
  if (precision === "f32" || gpu.features.has("shader-f16")) return;
  throw new GpuError("unsupported", "precision f16: this adapter has no shader-f16: leave --precision out");
}
