// A network with its parameters, and how it is run.

import {
  cast,
  type Device,
  free,
  GpuError,
  type Plan,
  plan,
  type Precision,
  scope,
  softmax,
  Tensor,
} from "../../engine/index.ts";
import { type Architecture, type How, type Output, tensorsOf } from "./architecture.ts";
import { everyBank } from "./banks.ts";
import type { Params } from "./params.ts";
import { vnet, type VnetConfig } from "./vnet.ts";

/** A network with its parameters. */
export interface Network {
  params: Params;
  config: VnetConfig;
  /** Its kind; a V-Net unless given. */
  architecture?: Architecture<VnetConfig>;
  /** The precision of its activations, by default f32; parameters, statistics and logits are always f32. */
  precision?: Precision;
  /** Gradient checkpointing: the same bits in less memory. */
  lowMemory?: boolean;
  /** The contrasts that have norms of their own, and the one whose norms it runs with: see banks.ts. */
  banks?: readonly string[];
  bank?: string;
}

export function architectureOf({ architecture = vnet }: Pick<Network, "architecture">) {
  return architecture;
}

/**
 * Runs a network on x [N,M,D,H,W]; within grad() it is taped. Throws for a network with banks unless it or
 * `how` names one of them.
 */
export function forward(network: Network, x: Tensor, how: How): Output {
  const { params, config, precision = "f32", lowMemory = false, banks, bank } = network;
  const full: How = { lowMemory, ...(bank !== undefined && { domain: bank }), ...how };
  if (banks && !banks.includes(full.domain ?? ""))
    throw new Error(`forward: expected a bank of ${banks.join(", ")}, got ${full.domain ?? "none"}`);
  return scopedOutput(() => architectureOf(network).forward(params, cast(x, precision), config, full));
}

/** Runs a function in a scope that keeps its output alive. */
export function scopedOutput(run: () => Output): Output {
  let output: Output | undefined;
  scope(() => {
    output = run();
    return { ...tensorsOf(output) } as unknown as Record<string, Tensor>;
  });
  return output!;
}

/**
 * Makes a network's parameters, and returns the kernels to compile before it predicts a patch [D,H,W]. Throws
 * a CheckpointError for values of another network.
 */
export function initialise(
  device: Device,
  network: Network,
  patch: readonly number[],
  how?: Partial<How>,
): Plan {
  const planned = plan(device, () => {
    const x = new Tensor(device, [1, network.config.modalities, ...patch]);
    for (const one of everyBank(network))
      scope(() => void softmax(forward(one, x, { mode: "eval", ...how }).logits));
    free(x);
  });
  network.params.checkUsed();
  return planned;
}

/** Throws a GpuError unless the device supports a precision. */
export function checkPrecision({ gpu }: Device, precision: Precision): void {
  if (precision === "f32" || gpu.features.has("shader-f16")) return;
  throw new GpuError("unsupported", "precision f16: this adapter has no shader-f16: use --precision f32");
}
