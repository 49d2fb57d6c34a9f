// Reads a V-Net from a file's tensors: this project's, or a published ProtoKD checkpoint's, which has the
// same names but no description. Names and shapes give the network's configuration; all of them are checked.

import { largest } from "../../engine/values.ts";
import type { StoredTensor } from "./safetensors.ts";
import { CheckpointError } from "../errors.ts";
import type { Values } from "../networks/params.ts";
import type { VnetConfig } from "../networks/vnet.ts";
import { AUXILIARY, BLOCK_NUMBERS, vnetShapes } from "../networks/layers.ts";

/** A V-Net outside the GPU. */
export interface StoredNetwork {
  config: VnetConfig;
  values: Record<string, Values>;
}

const LISTED = 10; // the most names in a message

/**
 * Returns the V-Net in the tensors of the file `path`: the one `declared` by its metadata, or inferred from
 * names and shapes. Where the file holds a part of it alone, `shapes` are those of the part. Ignores the
 * prefix "module." of PyTorch's DataParallel, counters of batches, and what a training state holds beside the
 * network. Throws a CheckpointError that names all tensors that are missing, surplus, of another shape or not
 * finite.
 */
export function storedNetwork(
  tensors: Readonly<Record<string, StoredTensor>>,
  path: string,
  declared?: VnetConfig,
  shapes?: Map<string, readonly number[]>,
): StoredNetwork {
  const found = weights(tensors);
  const config = declared ?? infer(found, path);
  const problems: Record<"missing" | "surplus" | "misshapen" | "unusable", string[]> = {
    missing: [],
    surplus: [],
    misshapen: [],
    unusable: [],
  };
  const expected = shapes ?? vnetShapes(config);
  const values: Record<string, Values> = {};
  for (const [name, shape] of expected) {
    const tensor = found.get(name);
    if (!tensor) problems.missing.push(`${name} [${shape}]`);
    else if (`${tensor.shape}` !== `${shape}`)
      problems.misshapen.push(`${name}: expected [${shape}], got [${tensor.shape}]`);
    else if (!(tensor.data instanceof Float32Array)) problems.unusable.push(`${name} holds integers`);
    else if (!tensor.data.every(Number.isFinite)) problems.unusable.push(`${name} holds NaN or infinity`);
    else values[name] = { shape: tensor.shape, data: tensor.data };
  }
  for (const [name, { shape }] of found) {
    if (!expected.has(name)) problems.surplus.push(`${name} [${shape}]`);
  }
  const lines = Object.entries(problems).flatMap(([what, names]) =>
    names.length ? [`\n  ${what}: ${listed(names)}`] : [],
  );
  if (!lines.length) return { config, values };
  throw new CheckpointError(`${path}: expected the tensors of ${describeVnet(config)}:${lines.join("")}`);
}

/** The network in words. */
export function describeVnet({ modalities, filters, levels, norm }: VnetConfig): string {
  const seen = modalities === 1 ? "1 modality" : `${modalities} modalities`;
  return `a V-Net with ${seen}, ${filters} filters, ${levels} levels and ${norm} norm`;
}

/** The network's tensors, without the prefix. */
function weights(tensors: Readonly<Record<string, StoredTensor>>): Map<string, StoredTensor> {
  const names = Object.keys(tensors);
  const prefix = names.length && names.every((name) => name.startsWith(PARALLEL)) ? PARALLEL.length : 0;
  const kept = names.filter(
    (name) => !TRAINING.some((part) => name.startsWith(part)) && !name.endsWith(".num_batches_tracked"),
  );
  return new Map(kept.map((name) => [name.slice(prefix), tensors[name]!]));
}

/** The prefixes of what a training state holds beside the deployed network. */
const TRAINING = ["optimizer.", "role/", "own/"];

const PARALLEL = "module."; // PyTorch's DataParallel

/** Infers a network's configuration from its tensors. */
function infer(tensors: ReadonlyMap<string, StoredTensor>, path: string): VnetConfig {
  const kernel = (name: string) => {
    const shape = tensors.get(name)?.shape;
    return shape?.length === 5 && !shape.includes(0) ? shape : null;
  };
  const first = kernel("block_one.conv.0.weight");
  const head = kernel("out_conv.weight");
  const names = [...tensors.keys()];
  const blocks = names.map((name) => BLOCK_NUMBERS.indexOf(/^block_([a-z]+)\./.exec(name)?.[1] ?? ""));
  const levels = (largest(blocks, -1) >> 1) + 1; // block_nine is the last of five levels
  if (!first || !head || levels < 2) {
    throw new CheckpointError(
      `${path}: expected the tensors of ProtoKD's V-Net (block_one.conv.0.weight to out_conv.bias), ` +
        `got ${listed(names) || "none"}`,
    );
  }
  const norm = names.some((name) => name.endsWith(".running_mean")) ? "batch" : "instance";
  const deepSupervision = names.some((name) => name.startsWith(AUXILIARY));
  return {
    modalities: first[1]!,
    classes: head[0]!,
    filters: head[1]!,
    levels,
    norm,
    ...(deepSupervision && { deepSupervision }),
  };
}

function listed(names: readonly string[]): string {
  const more = names.length - LISTED;
  return names.slice(0, LISTED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
