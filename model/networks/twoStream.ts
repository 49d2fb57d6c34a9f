// The generator of UAGAN: one stream segments an image, the other translates it into another contrast. Each
// stream is a V-Net's encoder and decoder, and both share the lowest level. A stream's skips take from the
// other stream's encoder what a gate of attention lets through, in both directions. Yuan et al., MICCAI 2019
// (arXiv 1907.03548).
//
// The stream that segments has the V-Net's names; the other's begin with "translation_encoder." and
// "translation_decoder.". The contrast to translate into is a plane of ones beside the image, with a kernel
// of its own for each contrast: the same function as one plane for each contrast that is 1 for the wanted one
// and 0 for the others. These kernels are banks (banks.ts), so that one contrast's are an ordinary network.

import {
  add,
  cast,
  concat,
  conv3d,
  fill,
  instanceNorm,
  leakyRelu,
  multiply,
  recompute,
  scope,
  sigmoid,
  type Tensor,
} from "../../engine/index.ts";
import type { Architecture, How, Output } from "./architecture.ts";
import { bankPrefix } from "./banks.ts";
import { type Layer, layerTensors, type VnetConfig, vnetLayers } from "./layers.ts";
import { activate, auxiliaryLogits, runLayer, type Setting, vnet } from "./vnet.ts";

/** The tap of the translated image [N,1,D,H,W]. */
export const TRANSLATION = "translation";

const ENCODER = "translation_encoder.";
const DECODER = "translation_decoder.";
const SLOPE = 0.01;

/** The generator without the decoder that translates: it segments alone. */
export const twoStream: Architecture<VnetConfig> = architectureOf("two-stream", false);

/** The whole generator; it translates where the tap TRANSLATION is requested. */
export const translator: Architecture<VnetConfig> = architectureOf("translator", true);

/** The tensors of twoStream among those of a translator. */
export function segmenting<T>(tensors: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => !name.startsWith(DECODER)));
}

/** Tells whether tensors are those of a translator. */
export function translates(tensors: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(tensors).some((name) => name.startsWith(DECODER));
}

/** The tensors of an attention gate. */
export interface GateTensors {
  /** [C,C,3,3,3] each; the bias [C] is the attention's. */
  value: Tensor;
  attention: Tensor;
  bias: Tensor;
}

/** own + leakyRelu(norm(conv(other))) · sigmoid(conv(other)), with instance norm; all [N,C,D,H,W]. */
export function gated(own: Tensor, other: Tensor, { value, attention, bias }: GateTensors): Tensor {
  const { device } = other;
  const [ones, zeros] = [1, 0].map((one) => fill(device, bias.shape, one)) as [Tensor, Tensor];
  const offered = leakyRelu(instanceNorm(conv3d(other, value), ones, zeros), SLOPE);
  return add(own, multiply(offered, sigmoid(conv3d(other, attention, bias))));
}

function architectureOf(kind: string, translating: boolean): Architecture<VnetConfig> {
  return {
    kind,
    tensors(config) {
      const shapes = new Map<string, readonly number[]>();
      const note = (name: string, shape: readonly number[]) => void shapes.set(name, shape);
      declare({ weight: note, constant: note, statistic: note }, config, translating);
      return shapes;
    },
    forward(params, x, config, how) {
      const wanted = (how.taps ?? []).find((tap) => tap !== TRANSLATION || !translating);
      if (wanted !== undefined)
        throw new Error(`${kind}: expected ${translating ? TRANSLATION : "no"} tap, got ${wanted}`);
      if (config.modalities !== 1 || x.shape[1] !== 1)
        throw new Error(`${kind}: expected images of one contrast [N,1,D,H,W], got [${x.shape}]`);
      declare(params, config, translating, how.domain);
      return new Pass(params, config, how).run(x);
    },
    extents: vnet.extents,
    coarseLevels: vnet.coarseLevels,
    checkPatch: vnet.checkPatch,
  };
}

/** Where the tensors come from: see layers.ts. */
type Source<T> = Parameters<typeof layerTensors<T>>[0];

/** Makes all tensors, also those that a pass does not use, so that they have one order. */
function declare<T>(source: Source<T>, config: VnetConfig, translating: boolean, domain?: string): void {
  const { encoder, decoder, head } = partsOf(config);
  const all = [...encoder.flat(), ...decoder.flatMap(({ layers, auxiliary }) => [...layers, ...auxiliary])];
  for (const layer of [...all, head]) layerTensors(source, layer, config.norm);
  for (const layer of encoder.slice(0, -1).flat()) layerTensors(source, of(ENCODER, layer), config.norm);
  targetKernel(source, config, domain);
  for (const { level } of decoder) gateTensors(source, "", level, config);
  if (!translating) return;
  for (const { layers } of decoder)
    for (const layer of layers) layerTensors(source, of(DECODER, layer), config.norm);
  layerTensors(source, of(DECODER, { ...head, outputs: 1 }), config.norm);
  for (const { level } of decoder) gateTensors(source, DECODER, level, config);
}

/** The kernel [F,1,3,3,3] of a contrast to translate into, over a plane of ones. */
function targetKernel<T>(source: Source<T>, { filters }: VnetConfig, domain?: string): T {
  const prefix = domain === undefined ? "" : bankPrefix(domain);
  return source.weight(`${prefix}${ENCODER}target.weight`, [filters, 1, 3, 3, 3], 54);
}

function gateTensors<T>(source: Source<T>, prefix: string, level: number, { filters }: VnetConfig) {
  const width = filters * 2 ** (level - 1);
  const name = `${prefix}gate_${level}`;
  const [shape, fan] = [[width, width, 3, 3, 3], 27 * width];
  return {
    value: source.weight(`${name}.value.weight`, shape, fan),
    attention: source.weight(`${name}.attention.weight`, shape, fan),
    bias: source.weight(`${name}.attention.bias`, [width], fan),
  };
}

/** A level of a decoder, counted from full resolution, with its auxiliary head if it has one. */
interface Rise {
  level: number;
  layers: Layer[];
  auxiliary: Layer[];
}

/** A V-Net's layers by the levels of its encoder and decoder. */
function partsOf(config: VnetConfig): { encoder: Layer[][]; decoder: Rise[]; head: Layer } {
  const encoder: Layer[][] = [[]];
  const decoder: Rise[] = [];
  let head: Layer | undefined;
  for (const layer of vnetLayers(config)) {
    if (layer.kind === "down") encoder.push([]);
    if (layer.kind === "up")
      decoder.push({ level: config.levels - 1 - decoder.length, layers: [], auxiliary: [] });
    if (layer.kind === "head") head = layer;
    else if (layer.kind === "auxiliary") decoder.at(-1)!.auxiliary.push(layer);
    else (decoder.at(-1)?.layers ?? encoder.at(-1)!).push(layer);
  }
  return { encoder, decoder, head: head! };
}

/** A layer of the other stream. */
function of(prefix: string, layer: Layer): Layer {
  return { ...layer, block: prefix + layer.block };
}

/** One pass on images. */
class Pass {
  readonly #parts: ReturnType<typeof partsOf>;
  readonly #params: Parameters<typeof vnet.forward>[0];
  readonly #config: VnetConfig;
  readonly #how: How;
  readonly #setting: Setting;

  constructor(params: Parameters<typeof vnet.forward>[0], config: VnetConfig, how: How) {
    this.#parts = partsOf(config);
    this.#params = params;
    this.#config = config;
    this.#how = how;
    const { domain: _, ...shared } = how; // contrasts share the norms
    this.#setting = { config, how: shared, skip: null };
  }

  run(x: Tensor): Output {
    const { encoder, decoder } = this.#parts;
    const own = this.#encoded(x, "");
    const other = this.#encoded(x, ENCODER);
    let coarse: Tensor[] = [];
    let y = this.#level(encoder.at(-1)!, own.at(-1)!);
    for (const { level, layers, auxiliary } of decoder) {
      y = this.#risen("", level, layers, [y, own[level - 1]!, other[level - 1]!]);
      const heads = this.#how.mode === "train" ? auxiliary : [];
      coarse = [...heads.map((head) => auxiliaryLogits(this.#params, head, y)), ...coarse];
    }
    const logits = this.#headed("", y, this.#parts.head.outputs);
    if (!this.#how.taps?.includes(TRANSLATION)) return { logits, taps: {}, coarse };
    y = this.#level(encoder.at(-1)!, other.at(-1)!);
    for (const { level, layers } of decoder)
      y = this.#risen(DECODER, level, layers, [y, other[level - 1]!, own[level - 1]!]);
    return { logits, taps: { [TRANSLATION]: this.#headed(DECODER, y, 1) }, coarse };
  }

  /** The outputs of all levels but the lowest of a stream's encoder. */
  #encoded(x: Tensor, prefix: string): Tensor[] {
    const outputs: Tensor[] = [];
    let y = x;
    for (const [i, layers] of this.#parts.encoder.slice(0, -1).entries()) {
      const own = layers.map((layer) => (prefix ? of(prefix, layer) : layer));
      const [first, ...rest] = own;
      const aimed = i === 0 && prefix !== "";
      if (aimed) y = this.#again([x], () => this.#aimed(x, first!));
      const left = aimed ? rest : own;
      if (left.length) y = this.#level(left, y);
      outputs.push(y);
    }
    return outputs;
  }

  /** The first layer of the stream that translates: it takes the image and the contrast to translate into. */
  #aimed(x: Tensor, layer: Layer): Tensor {
    const { weight, bias, norm } = layerTensors(this.#params, layer, this.#config.norm);
    const target = targetKernel(this.#params, this.#config, this.#how.domain);
    const ones = fill(x.device, x.shape, 1, x.precision);
    const y = conv3d(concat(x, ones), concat(weight, target), bias);
    return activate(y, norm!, this.#how.mode, { skip: null });
  }

  /** Layers of a level, one after the other. */
  #level(layers: readonly Layer[], x: Tensor): Tensor {
    return this.#again([x], () => this.#chain(layers, x, null));
  }

  /** A level of a decoder, from the level below and the outputs of both encoders. */
  #risen(
    prefix: string,
    level: number,
    layers: readonly Layer[],
    [below, own, other]: readonly [Tensor, Tensor, Tensor],
  ): Tensor {
    const gate = gateTensors(this.#params, prefix, level, this.#config);
    return this.#again([below, own, other], () => {
      const skip = scope(() => gated(own, other, gate));
      return this.#chain(
        layers.map((layer) => of(prefix, layer)),
        below,
        skip,
      );
    });
  }

  #chain(layers: readonly Layer[], x: Tensor, skip: Tensor | null): Tensor {
    let y = x;
    for (const [i, layer] of layers.entries()) {
      const input = y;
      const setting = { ...this.#setting, skip: i ? null : skip };
      y = scope(() => runLayer(this.#params, layer, input, setting));
    }
    return y;
  }

  #headed(prefix: string, x: Tensor, outputs: number): Tensor {
    const layer = of(prefix, { ...this.#parts.head, outputs });
    return scope(() => cast(runLayer(this.#params, layer, x, this.#setting), "f32"));
  }

  /** Runs a part, with low memory again in the backward pass. */
  #again(inputs: readonly Tensor[], run: () => Tensor): Tensor {
    return this.#how.lowMemory ? recompute(inputs, run) : scope(run);
  }
}
