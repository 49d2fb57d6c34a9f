// A V-Net's encoder with a linear head on the mean of its bottleneck: it says which of the regions WT, TC and
// ET a patch shows, and segments nothing. The encoder's tensors have the V-Net's names.

import { globalAveragePool, linear, type Tensor } from "../../engine/index.ts";
import { REGION_NAMES } from "../scoring/regions.ts";
import type { Architecture } from "./architecture.ts";
import { encoderShapes, type VnetConfig } from "./layers.ts";
import type { Params } from "./params.ts";
import { vnetEncoder } from "./vnet.ts";

const [WEIGHT, BIAS] = ["presence.weight", "presence.bias"] as const;

/** The names of the head's tensors. */
export const CLASSIFIER_HEAD: readonly string[] = [WEIGHT, BIAS];

/** The names and shapes of all tensors, the encoder's first. */
export function classifierShapes(config: VnetConfig): Map<string, readonly number[]> {
  const head = [
    [WEIGHT, [REGION_NAMES.length, width(config)]],
    [BIAS, [REGION_NAMES.length]],
  ] as const;
  return new Map([...encoderShapes(config), ...head]);
}

export const vnetClassifier: Architecture<VnetConfig> = {
  ...vnetEncoder,
  kind: "vnet classifier",
  part: "classifier",
  tensors: classifierShapes,
  forward(params, x, config, how) {
    const { logits: bottleneck, taps } = vnetEncoder.forward(params, x, config, how);
    return { logits: head(params, bottleneck, config), taps, coarse: [] };
  },
  tail: (params, _tap, features, config) => ({
    logits: head(params, features, config),
    taps: {},
    coarse: [],
  }),
};

/** The logits [N,K] of the regions' presence, from the bottleneck. */
function head(params: Params, bottleneck: Tensor, config: VnetConfig): Tensor {
  const [inputs, outputs] = [width(config), REGION_NAMES.length];
  const weight = params.weight(WEIGHT, [outputs, inputs], inputs);
  const bias = params.weight(BIAS, [outputs], inputs);
  return linear(globalAveragePool(bottleneck), weight, bias);
}

/** The channels of the bottleneck. */
function width({ filters, levels }: VnetConfig): number {
  return filters * 2 ** (levels - 1);
}
