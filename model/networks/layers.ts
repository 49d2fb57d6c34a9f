// The V-Net's layers as a list, under the names of the published checkpoints. The forward pass runs through
// this list, and so do checks of files, without a device.

import { bankPrefix } from "./banks.ts";

/** The sizes of a V-Net. */
export interface VnetConfig {
  /** Channels of the input. */
  modalities: number;
  classes: number;
  /** Channels at full resolution; they double with each level. */
  filters: number;
  /** The number of resolutions; each level halves the volume. */
  levels: number;
  norm: "instance" | "batch";
  /** Adds auxiliary heads for deep supervision in training: see losses/deepSupervision.ts. */
  deepSupervision?: boolean;
}

/** The published network's sizes, except that its norm is batch norm. */
export const VNET: Omit<VnetConfig, "modalities"> = { classes: 4, filters: 16, levels: 5, norm: "instance" };

/**
 * A convolution; all but the heads are followed by a norm and a ReLU. An "auxiliary" head segments a lower
 * resolution; its input is also the input of the next layer.
 */
export interface Layer {
  kind: "same" | "down" | "up" | "head" | "auxiliary";
  /** Its block and its index in the block, as in the names of checkpoints' tensors. */
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

/** Makes tensors by name and shape: Params, or anything else with these methods. */
type Source<T> = Record<
  "weight" | "constant" | "statistic",
  (name: string, shape: readonly number[], start: number) => T
>;

/** The numbers of blocks in the published checkpoints, down to the last level and up again. */
export const BLOCK_NUMBERS: readonly string[] =
  "one two three four five six seven eight nine ten eleven".split(" ");

/** The resolutions that can have auxiliary heads, the finest first. */
export const RESOLUTIONS = ["half", "quarter", "eighth"] as const;

/** The prefix of the auxiliary heads' tensors. */
export const AUXILIARY = "deep_supervision.";

/** The resolutions of a network's auxiliary heads: all of its decoder's but the full and the lowest one. */
export function auxiliaryHeads({
  levels,
  deepSupervision = false,
}: VnetConfig): readonly (typeof RESOLUTIONS)[number][] {
  return deepSupervision ? RESOLUTIONS.slice(0, Math.max(0, levels - 3)) : [];
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
    const resolution = level > 0 && auxiliaryHeads(config)[level - 1];
    if (resolution) {
      yield {
        kind: "auxiliary",
        block: `${AUXILIARY}${resolution}`,
        index: 0,
        inputs: outputs,
        outputs: classes,
      };
    }
  }
  yield { kind: "head", block: "out_conv", index: 0, inputs: filters, outputs: classes };
}

/** The edge of each kind's kernel. */
const EDGE: Readonly<Record<Layer["kind"], number>> = { same: 3, down: 2, up: 2, head: 1, auxiliary: 1 };

/**
 * Makes the tensors of a layer by `source`; weights and biases are initialised as in PyTorch. With a
 * `domain`, the norm has tensors of its own, "bank.<domain>.<name>", while all domains share the kernels.
 */
export function layerTensors<T>(
  source: Source<T>,
  { kind, block, index, inputs, outputs }: Layer,
  norm: VnetConfig["norm"],
  domain?: string,
): LayerTensors<T> {
  const headed = kind === "head" || kind === "auxiliary";
  const name = headed ? block : `${block}.${index}`;
  const shape = [
    ...(kind === "up" ? [inputs, outputs] : [outputs, inputs]),
    ...Array<number>(3).fill(EDGE[kind]),
  ];
  const fan = shape[1]! * EDGE[kind] ** 3; // for a transposed convolution PyTorch counts its outputs
  const weight = source.weight(`${name}.weight`, shape, fan);
  const bias = kind === "same" ? null : source.weight(`${name}.bias`, [outputs], fan);
  if (headed) return { weight, bias, norm: null };
  const after = `${domain === undefined ? "" : bankPrefix(domain)}${block}.${index + 1}`;
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

/** The encoder's layers: down to the lowest resolution. */
function* encoderLayers(config: VnetConfig): Generator<Layer> {
  for (const layer of vnetLayers(config)) {
    if (layer.kind === "up") return;
    yield layer;
  }
}

/** The names and shapes of the encoder's tensors. */
export function encoderShapes(config: VnetConfig): Map<string, readonly number[]> {
  return vnetShapes(config, encoderLayers(config));
}

/** The names and shapes of all tensors of the network, in the order of its forward pass. */
export function vnetShapes(
  config: VnetConfig,
  layers: Iterable<Layer> = vnetLayers(config),
): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const note = (name: string, shape: readonly number[]) => void shapes.set(name, shape);
  const source = { weight: note, constant: note, statistic: note };
  for (const layer of layers) layerTensors(source, layer, config.norm);
  return shapes;
}
