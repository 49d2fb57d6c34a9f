// The V-Net's layers as a list, under the names of the published checkpoints. The forward pass walks it and
// asks for each layer's tensors; so does whoever wants to know, without a device, what a file must hold.

import type { VnetConfig } from "./vnet.ts";

/** A convolution; all but the heads have a norm and a ReLU after it. An "aside" is a head whose input goes on as it is. */
export interface Layer {
  kind: "same" | "down" | "up" | "head" | "aside";
  /** The block that it is in, and its index there, as checkpoints name it. */
  block: string;
  index: number;
  inputs: number;
  outputs: number;
}

/** The tensors of a layer. */
export interface LayerTensors<T> {
  weight: T;
  bias: T | null;
  norm: { weight: T; bias: T; running: { mean: T; variance: T } | null } | null;
}

/** Where tensors come from by name and shape: Params, or anything else that answers. */
type Source<T> = Record<
  "uniform" | "constant" | "statistic",
  (name: string, shape: readonly number[], start: number) => T
>;

/** How the published checkpoints count blocks, down to the last level and up again. */
export const BLOCK_NUMBERS: readonly string[] = [
  ...["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"],
];

/** Resolutions below the full one that may be segmented too, in training: see deepSupervision.ts. */
export const ASIDES = ["half", "quarter", "eighth"] as const;
export type Aside = (typeof ASIDES)[number];

/** How the names of their tensors begin. */
export const ASIDE = "deep_supervision.";

/** Which of them a network has: all of its decoder's but the lowest. */
export function asides({ levels, deepSupervision = false }: VnetConfig): readonly Aside[] {
  return deepSupervision ? ASIDES.slice(0, Math.max(0, levels - 3)) : [];
}

/** The layers in the order of the forward pass. */
export function* vnetLayers(config: VnetConfig): Generator<Layer> {
  const { modalities, classes, filters, levels } = config;
  const width = (level: number) => filters * 2 ** level;
  const name = (number: number, suffix = "") => `block_${BLOCK_NUMBERS[number]}${suffix}.conv`;

  /** 1, 2, 3, 3, 3 convolutions on the way down, and the same on the way up. */
  function* stage(number: number, level: number, inputs: number): Generator<Layer> {
    for (let i = 0; i < Math.min(level + 1, 3); i++) {
      const index = 3 * i; // a norm and a ReLU lie between two convolutions
      yield {
        kind: "same",
        block: name(number),
        index,
        inputs: i ? width(level) : inputs,
        outputs: width(level),
      };
    }
  }

  for (let level = 0; level < levels; level++) {
    const [inputs, outputs] = [level ? width(level - 1) : modalities, width(level)];
    if (level) yield { kind: "down", block: name(level - 1, "_dw"), index: 0, inputs, outputs };
    yield* stage(level, level, level ? outputs : inputs);
  }
  for (let level = levels - 2; level >= 0; level--) {
    const number = 2 * levels - 2 - level;
    const [inputs, outputs] = [width(level + 1), width(level)];
    yield { kind: "up", block: name(number - 1, "_up"), index: 0, inputs, outputs };
    yield* stage(number, level, outputs);
    const aside = level > 0 && asides(config)[level - 1];
    if (aside) {
      yield { kind: "aside", block: `${ASIDE}${aside}`, index: 0, inputs: outputs, outputs: classes };
    }
  }
  yield { kind: "head", block: "out_conv", index: 0, inputs: filters, outputs: classes };
}

/** Edges of the kernels. */
const EDGE: Readonly<Record<Layer["kind"], number>> = { same: 3, down: 2, up: 2, head: 1, aside: 1 };

/** Asks `source` for the tensors of a layer, weights and biases starting as PyTorch's do. */
export function layerTensors<T>(
  source: Source<T>,
  { kind, block, index, inputs, outputs }: Layer,
  norm: VnetConfig["norm"],
): LayerTensors<T> {
  const headed = kind === "head" || kind === "aside";
  const name = headed ? block : `${block}.${index}`;
  const shape = [
    ...(kind === "up" ? [inputs, outputs] : [outputs, inputs]),
    ...Array<number>(3).fill(EDGE[kind]),
  ];
  const fan = shape[1]! * EDGE[kind] ** 3; // PyTorch takes a transposed convolution's to be its outputs
  const weight = source.uniform(`${name}.weight`, shape, fan);
  const bias = kind === "same" ? null : source.uniform(`${name}.bias`, [outputs], fan);
  if (headed) return { weight, bias, norm: null };
  const after = `${block}.${index + 1}`;
  return {
    weight,
    bias,
    norm: {
      weight: source.constant(`${after}.weight`, [outputs], 1),
      bias: source.constant(`${after}.bias`, [outputs], 0),
      running:
        norm === "instance"
          ? null
          : {
              mean: source.statistic(`${after}.running_mean`, [outputs], 0),
              variance: source.statistic(`${after}.running_var`, [outputs], 1),
            },
    },
  };
}

/** Names and shapes of all the network's tensors, in the order in which a forward pass asks for them. */
export function vnetShapes(config: VnetConfig): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const note = (name: string, shape: readonly number[]) => void shapes.set(name, shape);
  const source = { uniform: note, constant: note, statistic: note };
  for (const layer of vnetLayers(config)) layerTensors(source, layer, config.norm);
  return shapes;
}
