// Networks in files as they are published: names, shapes and values, and not a word about the network.

import { readFileSync } from "node:fs";
import { Random } from "../../../engine/index.ts";
import { decodeSafetensors, type StoredTensor } from "../../../model/files/safetensors.ts";
import type { Values } from "../../../model/networks/params.ts";
import type { VnetConfig } from "../../../model/networks/vnet.ts";
import { vnetShapes } from "../../../model/networks/layers.ts";

/** Random values for every tensor of a network, of about PyTorch's size; variances are positive. */
export function weights(config: VnetConfig, seed = 1): Record<string, Values> {
  const tensors: Record<string, Values> = {};
  for (const [i, [name, shape]] of [...vnetShapes(config)].entries()) {
    const size = shape.reduce((a, b) => a * b, 1);
    const scale = shape.length > 1 ? (shape[0]! / size) ** 0.5 : 0.3;
    const centre = /running_var|conv\.[147]\.weight/.test(name) ? 1 : 0;
    const values = normal(size, 100 * seed + i);
    tensors[name] = { shape, data: values.map((v) => centre + scale * Math.max(-2, Math.min(2, v))) };
  }
  return tensors;
}

/** Normally distributed values. */
export function normal(size: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => random.normal());
}

/** The tensors of a file. */
export function tensorsOf(path: string): Record<string, StoredTensor> {
  return { ...decodeSafetensors(readFileSync(path), path).tensors };
}
