// The V-Net variant of ProtoKD's published code: stages of [conv 3³ → norm → ReLU], strided convolutions
// down, transposed ones up, skips that are added; no residuals. Tensors have the published checkpoints' names.

import { batchNormEvalRelu, batchNormRelu, cast, conv3d, convTranspose3d } from "../../engine/index.ts";
import { instanceNormRelu, recompute, scope, type Tensor } from "../../engine/index.ts";
import type { Output } from "../losses/losses.ts";
import type { Params } from "./params.ts";
import { checkPatch } from "./patch.ts";
import { type Aside, asides, type Layer, type LayerTensors, layerTensors, vnetLayers } from "./layers.ts";

export interface VnetConfig {
  /** Channels of the input. */
  modalities: number;
  classes: number;
  /** Channels at full resolution; they double at each level. */
  filters: number;
  /** Resolutions: each level halves the volume. */
  levels: number;
  norm: "instance" | "batch";
  /** Whether training segments the levels below full resolution too: see deepSupervision.ts. */
  deepSupervision?: boolean;
}

/** The published network's sizes, but for the norm (theirs is batch). */
export const VNET: Omit<VnetConfig, "modalities"> = { classes: 4, filters: 16, levels: 5, norm: "instance" };

/** `train`: batch norms use the batch's statistics and update the running ones. `eval`: they use the latter. */
export type Mode = "train" | "eval";

/**
 * x [N,M,D,H,W], each of D, H, W a multiple of 2^(levels-1) → features [N,filters,D,H,W] in x's precision, and logits
 * [N,classes,D,H,W] in f32; in training also those at half the resolution and so on, where the network has heads for
 * that. With `lean`, the backward pass computes activations again instead of finding them.
 */
export function vnet(params: Params, x: Tensor, config: VnetConfig, mode: Mode, lean = false): Output {
  check(x, config);
  const skips: Tensor[] = [];
  const coarse: Partial<Record<Aside, Tensor>> = {};
  let features = x;
  for (const layers of stretches(config)) {
    const [{ kind }] = layers;
    if (kind === "down") skips.push(x);
    if (kind === "head") features = x;
    if (kind === "aside") {
      const aside = asides(config)[skips.length - 1]!; // of this many levels the way up is still to come
      const logits = segmentAside(params, layers[0], x, { config, mode });
      if (logits) coarse[aside] = logits;
      continue;
    }
    const before = x;
    const skip = kind === "up" ? skips.pop()! : null;
    const run = () => {
      let y = before;
      for (const [i, layer] of layers.entries()) {
        const input = y;
        y = scope(() => apply(params, layer, input, { config, mode, skip: i ? null : skip }));
      }
      return y;
    };
    x = lean && kind !== "head" ? recompute(skip ? [before, skip] : [before], run) : run();
  }
  return { features, logits: cast(x, "f32"), ...coarse };
}

/**
 * The layers, cut where `lean` keeps what is between: everywhere at full resolution, where the activations of even two
 * layers at once would be much, and below it where the resolution changes.
 */
function* stretches(config: VnetConfig): Generator<[Layer, ...Layer[]]> {
  let stretch: Layer[] = [];
  for (const layer of vnetLayers(config)) {
    if (stretch.length && (layer.kind !== "same" || layer.outputs === config.filters)) {
      yield stretch as [Layer, ...Layer[]];
      stretch = [];
    }
    stretch.push(layer);
  }
  yield stretch as [Layer, ...Layer[]];
}

/** The logits of a level below full resolution in f32; in use there are none, but a file's tensors are asked for. */
function segmentAside(
  params: Params,
  layer: Layer,
  x: Tensor,
  { config, mode }: Pick<Setting, "config" | "mode">,
): Tensor | null {
  const { weight, bias } = layerTensors(params, layer, config.norm);
  return mode === "train" ? scope(() => cast(conv3d(x, weight, bias), "f32")) : null;
}

interface Setting {
  config: VnetConfig;
  mode: Mode;
  /** What the level handed across, to an "up". */
  skip: Tensor | null;
}

/** Convolution → norm → ReLU → skip. */
function apply(params: Params, layer: Layer, x: Tensor, { config, mode, skip }: Setting): Tensor {
  const { weight, bias, norm } = layerTensors(params, layer, config.norm);
  const moments = norm !== null && (norm.running === null || mode === "train");
  const y = CONVOLVE[layer.kind](x, weight, bias, { moments });
  return norm ? activate(y, norm, mode, skip) : y;
}

type Convolve = (x: Tensor, weight: Tensor, bias: Tensor | null, options: { moments: boolean }) => Tensor;

const CONVOLVE: Readonly<Record<Layer["kind"], Convolve>> = {
  same: conv3d,
  down: (x, weight, bias) => conv3d(x, weight, bias, { stride: 2 }),
  up: (x, weight, bias) => convTranspose3d(x, weight, bias),
  head: conv3d,
  aside: conv3d,
};

/** norm → ReLU → what the level handed across. */
function activate(x: Tensor, { weight, bias, running }: Norm, mode: Mode, skip: Tensor | null): Tensor {
  if (!running) return instanceNormRelu(x, weight, bias, { skip });
  return (mode === "train" ? batchNormRelu : batchNormEvalRelu)(x, weight, bias, running, { skip });
}
type Norm = NonNullable<LayerTensors<Tensor>["norm"]>;

/** Throws unless a network of so many levels has any below full resolution that deep supervision can be given. */
export function checkDeepSupervision({ levels, deepSupervision = false }: Partial<VnetConfig>): void {
  if (!deepSupervision || levels! >= 4) return;
  throw new Error(
    `deep supervision: expected at least 4 levels, for the lowest of the decoder has none, got ${levels}`,
  );
}

function check(x: Tensor, config: VnetConfig): void {
  const { modalities, levels } = config;
  checkDeepSupervision(config);
  if (levels < 2 || levels > 6) throw new Error(`vnet: levels must be 2 to 6, got ${levels}`);
  if (x.shape.length !== 5 || x.shape[1] !== modalities) {
    throw new Error(`vnet: expected an input [N,${modalities},D,H,W], got [${x.shape}]`);
  }
  checkPatch(x.shape.slice(2), levels);
}
