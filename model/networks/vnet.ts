// The V-Net variant of ProtoKD's published code: stages of [conv 3³ → norm → ReLU], strided convolutions
// down, transposed ones up, added skips; no residuals. Its tensors have the names of the published
// checkpoints.
//
// Its taps are the outputs of its levels, counted from full resolution: E_1 … E_L of the encoder, with E_L
// the bottleneck, and D_{L-1} … D_1 of the decoder. The last 1³ convolution turns D_1 into logits.

import {
  batchNormEvalRelu,
  batchNormRelu,
  cast,
  conv3d,
  conv3dWithMoments,
  convTranspose3d,
  instanceNormRelu,
  recompute,
  scope,
  type Tensor,
} from "../../engine/index.ts";
import type { Architecture, How, Mode, Output } from "./architecture.ts";
import {
  auxiliaryHeads,
  encoderShapes,
  type Layer,
  type LayerTensors,
  layerTensors,
  type VnetConfig,
  vnetLayers,
  vnetShapes,
} from "./layers.ts";
import type { Params } from "./params.ts";
import { checkPatch } from "./patch.ts";

export { VNET, type VnetConfig } from "./layers.ts";

/** The numbers of resolutions that a network can have. */
export const LEVELS = { least: 2, most: 6 } as const;

export const vnet: Architecture<VnetConfig> = {
  kind: "vnet",
  tensors: vnetShapes,
  forward(params, x, config, how) {
    checkInput(x, config);
    return walk(params, config, how, { x, skips: [] });
  },
  tail(params, tap, features, config, how) {
    return walk(params, config, how, { x: features, tap, from: how.from, skips: [] });
  },
  neededAfter(tap) {
    const level = Number(tap.slice(2));
    return Array.from({ length: level - 1 }, (_, i) => `E_${i + 1}`);
  },
  extents({ modalities, classes, filters, norm }) {
    return { whole: Math.max(modalities, classes), widest: filters, coupled: norm === "batch" };
  },
  coarseLevels: (config) => auxiliaryHeads(config).length,
  checkPatch: (patch, { levels }) => checkPatch(patch, levels),
};

/**
 * The encoder alone, under the same names, for pretraining; its output is the bottleneck, where a V-Net has
 * logits.
 */
export const vnetEncoder: Architecture<VnetConfig> = {
  kind: "vnet encoder",
  part: "encoder",
  tensors: encoderShapes,
  forward(params, x, config, how) {
    checkInput(x, config);
    return walk(params, config, how, { x, skips: [], encoder: true });
  },
  extents: ({ modalities, filters, norm }) => ({
    whole: modalities,
    widest: filters,
    coupled: norm === "batch",
  }),
  coarseLevels: () => 0,
  checkPatch: (patch, { levels }) => checkPatch(patch, levels),
};

interface Walk {
  x: Tensor;
  /** For a run of the rest after a tap: the tap that x is, and the encoder's outputs for the skips. */
  tap?: string;
  from?: Readonly<Record<string, Tensor>>;
  skips: (Tensor | null)[];
  /** Stops at the lowest resolution. */
  encoder?: true;
}

/** Runs the layers, all of them or those after a tap. */
function walk(params: Params, config: VnetConfig, how: How, begin: Walk): Output {
  const { skips, from = {} } = begin;
  const wanted = new Set(how.taps);
  const taps: Record<string, Tensor> = {};
  const coarse: Tensor[] = [];
  let { x } = begin;
  let active = begin.tap === undefined;
  for (const { layers, input } of stretches(config)) {
    const [{ kind }] = layers;
    if (input !== null && input === begin.tap) active = true;
    if (active && input !== null && wanted.has(input)) taps[input] = x;
    if (begin.encoder && kind === "up") break;
    if (kind === "down") skips.push(active ? x : (from[input!] ?? null));
    if (kind === "auxiliary") {
      if (active && how.mode === "train") coarse.unshift(auxiliaryLogits(params, layers[0], x));
      else layerTensors(params, layers[0], config.norm); // so that checkUsed() finds a file's tensors in use
      continue;
    }
    const skip = kind === "up" ? skips.pop()! : null;
    if (active && kind === "up" && !skip)
      throw new Error(`vnet: expected the encoder's outputs for the skips after ${begin.tap}, got none`);
    if (active) x = runStretch(params, layers, x, { config, how, skip });
  }
  const unknown = begin.tap === undefined ? [...wanted].find((tap) => !(tap in taps)) : undefined;
  if (!active || unknown !== undefined)
    throw new Error(`vnet: expected taps of ${config.levels} levels, got ${unknown ?? begin.tap}`);
  return { logits: cast(x, "f32"), taps, coarse };
}

/**
 * Runs successive layers; with low memory, the backward pass computes them again together. Never the head.
 */
function runStretch(params: Params, layers: Stretch, x: Tensor, setting: Setting): Tensor {
  const { how, skip } = setting;
  const run = () => {
    let y = x;
    for (const [i, layer] of layers.entries()) {
      const input = y;
      y = scope(() => runLayer(params, layer, input, { ...setting, skip: i ? null : skip }));
    }
    return y;
  };
  const again = how.lowMemory === true && layers[0].kind !== "head";
  return again ? recompute(skip ? [x, skip] : [x], run) : run();
}

type Stretch = [Layer, ...Layer[]];

/**
 * The layers in stretches, between which low memory keeps activations: single layers at full resolution,
 * where the activations of even two would take much memory, and below it all layers of a level. `input` is
 * the name of the tap that a stretch takes, or null.
 */
function* stretches(config: VnetConfig): Generator<{ layers: Stretch; input: string | null }> {
  let stretch: Layer[] = [];
  let level = 1;
  let rising = false;
  const place = ({ kind }: Layer): string | null => {
    if (kind === "same") return null;
    const name = rising ? `D_${level}` : `E_${level}`;
    if (kind === "down") level++;
    if (kind === "up") {
      level--;
      rising = true;
    }
    return name;
  };
  const first = () => ({ layers: stretch as Stretch, input: place(stretch[0]!) });
  for (const layer of vnetLayers(config)) {
    if (stretch.length && (layer.kind !== "same" || layer.outputs === config.filters)) {
      yield first();
      stretch = [];
    }
    stretch.push(layer);
  }
  yield first();
}

/** The logits of an auxiliary head, in f32. */
export function auxiliaryLogits(params: Params, layer: Layer, x: Tensor): Tensor {
  const { weight, bias } = layerTensors(params, layer, "instance");
  return scope(() => cast(conv3d(x, weight, bias), "f32"));
}

export interface Setting {
  config: VnetConfig;
  how: How;
  /** The encoder's output that an "up" layer adds. */
  skip: Tensor | null;
}

/** Convolution → norm → ReLU → addition of the skip. */
export function runLayer(params: Params, layer: Layer, x: Tensor, { config, how, skip }: Setting): Tensor {
  const { weight, bias, norm } = layerTensors(params, layer, config.norm, how.domain);
  if (!norm) return CONVOLVE[layer.kind](x, weight, bias);
  const fromBatch = norm.running === null || how.mode === "train"; // where the norm's statistics come from
  if (layer.kind === "same" && fromBatch) {
    const { y, moments } = conv3dWithMoments(x, weight, bias);
    return activate(y, norm, how.mode, { skip, moments });
  }
  return activate(CONVOLVE[layer.kind](x, weight, bias), norm, how.mode, { skip });
}

type Convolve = (x: Tensor, weight: Tensor, bias: Tensor | null) => Tensor;

const CONVOLVE: Readonly<Record<Layer["kind"], Convolve>> = {
  same: conv3d,
  down: (x, weight, bias) => conv3d(x, weight, bias, { stride: 2 }),
  up: convTranspose3d,
  head: conv3d,
  auxiliary: conv3d,
};

/** Norm → ReLU → addition of the skip. */
export function activate(
  x: Tensor,
  { weight, bias, running }: Norm,
  mode: Mode,
  options: Activation,
): Tensor {
  if (!running) return instanceNormRelu(x, weight, bias, options);
  if (mode === "train") return batchNormRelu(x, weight, bias, running, options);
  return batchNormEvalRelu(x, weight, bias, running, { skip: options.skip });
}
type Activation = { skip: Tensor | null; moments?: Tensor | null };
type Norm = NonNullable<LayerTensors<Tensor>["norm"]>;

/** Throws if deep supervision is on and the network has too few levels for an auxiliary head. */
export function checkDeepSupervision({ levels, deepSupervision = false }: Partial<VnetConfig>): void {
  if (!deepSupervision || levels! >= 4) return;
  throw new Error(`deep supervision: expected at least 4 levels, got ${levels}`);
}

function checkInput(x: Tensor, config: VnetConfig): void {
  const { modalities, levels } = config;
  checkDeepSupervision(config);
  if (levels < LEVELS.least || levels > LEVELS.most)
    throw new Error(`vnet: levels must be ${LEVELS.least} to ${LEVELS.most}, got ${levels}`);
  if (x.shape.length !== 5 || x.shape[1] !== modalities) {
    throw new Error(`vnet: expected an input [N,${modalities},D,H,W], got [${x.shape}]`);
  }
  checkPatch(x.shape.slice(2), levels);
}
