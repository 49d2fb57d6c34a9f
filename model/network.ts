// A network with its parameters, and how it is run.

import { type Device, free, type Plan, plan, scope, softmax, Tensor } from "../engine/index.ts";
import type { Output } from "./losses.ts";
import type { Params } from "./params.ts";
import { type Mode, vnet, type VnetConfig } from "./vnet.ts";

/** A network with its parameters. */
export interface Network {
  params: Params;
  config: VnetConfig;
}

/** Runs a network as part of what surrounds it: under grad() it is taped, elsewhere not. */
export function forward({ params, config }: Network, x: Tensor, mode: Mode): Output {
  return scope(() => vnet(params, x, config, mode));
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
