// Writes a V-Net as an ONNX model: the layers of vnetLayers() as nodes, the tensors under the published names
// as initializers. The format's fields: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto

import type { Values } from "../networks/params.ts";
import { checkPatch } from "../networks/patch.ts";
import type { StoredNetwork } from "./published.ts";
import { bytes, type Field, integer, joined, message, single, text } from "./protobuf.ts";
import type { Vec3 } from "../scoring/regions.ts";
import { type Layer, layerTensors, vnetLayers, vnetShapes } from "../networks/layers.ts";

export interface OnnxOptions {
  /** D, H, W of the input; null for any multiples of 2^(levels-1). */
  size?: Vec3 | null;
  /** Adds the features before the last layer as an output. */
  features?: boolean;
  /** How to use the network. */
  metadata?: Readonly<Record<string, string>>;
}

const IR_VERSION = 8; // the one of opset 17
const OPSET = 17;
const EPS = 1e-5; // the norms' eps, as in the engine
const FLOAT = 1; // TensorProto.DataType
const LARGEST = 2 ** 31 - 1; // the most bytes of a protocol buffer

/**
 * Returns the file of a model in evaluation mode: `image` [N, modalities, D, H, W] → `logits` [N, classes, D,
 * H, W] and, optionally, `features` [N, filters, D, H, W], for any N. Throws where the network cannot take
 * the size.
 */
export function vnetToOnnx(
  { config, values }: StoredNetwork,
  options: OnnxOptions = {},
): Uint8Array<ArrayBuffer> {
  const { size = null, features = false, metadata = {} } = options;
  if (size) checkPatch(size, config.levels);
  const space = size ?? (["depth", "height", "width"] as const);
  const shape = (channels: number) => ["batch", channels, ...space];
  const graph = [
    ...nodes(config, features),
    text(2, "V-Net"),
    ...[...vnetShapes({ ...config, deepSupervision: false }).keys()].map((n) => initializer(n, values[n]!)),
    valueInfo(11, "image", shape(config.modalities)),
    valueInfo(12, "logits", shape(config.classes)),
    ...(features ? [valueInfo(12, "features", shape(config.filters))] : []),
  ];
  const model = joined([
    integer(1, IR_VERSION),
    text(2, "protokd"),
    message(7, ...graph),
    message(8, integer(2, OPSET)),
    ...Object.entries(metadata).map(([key, value]) => message(14, text(1, key), text(2, value))),
  ]);
  if (model.length <= LARGEST) return model;
  throw new Error(`onnx: expected at most ${LARGEST} bytes, got a network of ${model.length}`);
}

/** The nodes of the forward pass. */
function* nodes(config: StoredNetwork["config"], features: boolean): Generator<Field> {
  const skips: string[] = [];
  let x = "image";
  for (const layer of vnetLayers(config)) {
    const { kind, block, index } = layer;
    const { weight, bias, norm } = layerTensors(NAMES, layer, config.norm);
    if (kind === "auxiliary") continue; // only training uses these heads
    if (kind === "down") skips.push(x);
    if (kind === "head" && features) yield node("Identity", [x], "features");
    const convolved = kind === "head" ? "logits" : `${block}.${index}`;
    yield node(OPS[kind], [x, weight, ...(bias === null ? [] : [bias])], convolved, window(kind));
    if (!norm) continue;
    const normed = `${block}.${index + 1}`;
    const { running } = norm;
    const statistics = running ? [running.mean, running.variance] : [];
    const inputs = [convolved, norm.weight, norm.bias, ...statistics];
    yield node(running ? "BatchNormalization" : "InstanceNormalization", inputs, normed, [epsilon()]);
    x = `${block}.${index + 2}`;
    yield node("Relu", [normed], x);
    if (kind !== "up") continue;
    yield node("Add", [x, skips.pop()!], `${x}.skip`);
    x = `${x}.skip`;
  }
}

type Kind = Exclude<Layer["kind"], "auxiliary">;

/** Gives the name of each tensor in place of the tensor. */
const name = (tensor: string) => tensor;
const NAMES = { weight: name, constant: name, statistic: name };

const OPS: Readonly<Record<Kind, string>> = {
  same: "Conv",
  down: "Conv",
  up: "ConvTranspose",
  head: "Conv",
};

/** The attributes of a convolution. */
function window(kind: Kind): Field[] {
  if (kind === "same") return [integers("pads", [1, 1, 1, 1, 1, 1])];
  return kind === "head" ? [] : [integers("strides", [2, 2, 2])];
}

function node(
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: readonly Field[] = [],
): Field {
  const taken = inputs.map((input) => text(1, input));
  return message(1, ...taken, text(2, output), text(3, output), text(4, op), ...attributes);
}

const ATTRIBUTE = { float: 1, integers: 7 } as const; // AttributeProto.AttributeType

function integers(name: string, values: readonly number[]): Field {
  const items = values.map((value) => integer(8, value));
  return message(5, text(1, name), ...items, integer(20, ATTRIBUTE.integers));
}

function epsilon(): Field {
  return message(5, text(1, "epsilon"), single(2, EPS), integer(20, ATTRIBUTE.float));
}

function initializer(name: string, { shape, data }: Values): Field {
  const raw = new Uint8Array(data.length * 4);
  const view = new DataView(raw.buffer);
  for (const [i, value] of data.entries()) view.setFloat32(4 * i, value, true);
  return message(5, ...shape.map((n) => integer(1, n)), integer(2, FLOAT), text(8, name), bytes(9, raw));
}

/** The name and shape of an input or output; extents given as names are dynamic. */
function valueInfo(number: number, name: string, shape: readonly (number | string)[]): Field {
  const extents = shape.map((n) => message(1, typeof n === "number" ? integer(1, n) : text(2, n)));
  return message(number, text(1, name), message(2, message(1, integer(1, FLOAT), message(2, ...extents))));
}
