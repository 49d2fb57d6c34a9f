// Auxiliary heads exist in training only: a network is used, saved and shared without them.

import { AUXILIARY, type VnetConfig } from "./layers.ts";
import type { Params, ParamSource, Values } from "./params.ts";

const isAuxiliary = (name: string) => name.startsWith(AUXILIARY);

/** The tensors of a network without those of its auxiliary heads. */
export function withoutAuxiliary<T>(tensors: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => !isAuxiliary(name)));
}

/** Reads the tensors of a network for a checkpoint that is shared. */
export async function deployed(params: Params): Promise<Record<string, Values>> {
  return withoutAuxiliary(await params.read());
}

/** The configuration of a network without its auxiliary heads. */
export function deployedConfig({ deepSupervision: _, ...config }: VnetConfig): VnetConfig {
  return config;
}

/** A stored network without its auxiliary heads. */
export function deployedNetwork<T>(network: { config: VnetConfig; values: Readonly<Record<string, T>> }) {
  return { config: deployedConfig(network.config), values: withoutAuxiliary(network.values) };
}

/** First weights from a checkpoint; auxiliary heads that it lacks are drawn from the seed. */
export function initialSource(
  values: Readonly<Record<string, Values>>,
  deepSupervision: boolean,
  seed: number,
): ParamSource {
  return { values: deepSupervision ? values : withoutAuxiliary(values), seed, drawn: isAuxiliary };
}
