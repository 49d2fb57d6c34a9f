// The interface of a kind of network: its sizes, its tensors, its forward pass. Each kind has a file of its
// own.

import type { Tensor } from "../../engine/index.ts";
import type { Params } from "./params.ts";

/**
 * `train`: batch norms use the batch's statistics and update the running ones; `eval`: they use the running
 * ones.
 */
export type Mode = "train" | "eval";

/** How a network is run. */
export interface How {
  mode: Mode;
  /**
   * Inner features to return beside the logits, by name: for a V-Net E_1 … E_L and D_{L-1} … D_1 (see
   * vnet.ts).
   */
  taps?: readonly string[];
  /**
   * Gradient checkpointing: keeps fewer activations and computes them again in the backward pass. Outputs
   * have the same bits; gradients too, except in a translator (twoStream.ts), where they are added in another
   * order and differ by rounding.
   */
  lowMemory?: boolean;
  /** The bank of norm parameters to use; not given for a network with one set. */
  domain?: string;
}

/** A network's output for x [N,M,D,H,W]. */
export interface Output {
  /** [N,classes,D,H,W], f32; of a classifier [N,K]. */
  logits: Tensor;
  /** The features that were requested, by name. */
  taps: Readonly<Record<string, Tensor>>;
  /** Logits of the auxiliary heads, f32: [N,classes,D/2,H/2,W/2], [N,classes,D/4,…], … ; only in training. */
  coarse: readonly Tensor[];
}

/** The channels of large tensors at full resolution, to check that they fit the adapter's bindings. */
export interface Extents {
  /** The channels of the input or the logits, whichever has more: these tensors cannot be cut. */
  whole: number;
  /** The channels of the widest activation at full resolution. */
  widest: number;
  /** True if the samples of a batch depend on each other, as with batch norm: then a batch cannot be cut. */
  coupled: boolean;
}

/** A kind of network; C is the type of its sizes. */
export interface Architecture<C = unknown> {
  kind: string;
  /** The part of a V-Net that it has, where it segments nothing. */
  part?: "encoder" | "classifier";
  /** The names and shapes of all tensors, in the order in which forward() asks for them. */
  tensors(config: C): Map<string, readonly number[]>;
  forward(params: Params, x: Tensor, config: C, how: How): Output;
  /**
   * Runs the rest of the network after a tap, from given features. `from` has the other taps of the same
   * input that the rest needs: the encoder's outputs E_1, … for its skips. Optional.
   */
  tail?(
    params: Params,
    tap: string,
    features: Tensor,
    config: C,
    how: How & { from: Readonly<Record<string, Tensor>> },
  ): Output;
  /** The taps that tail() needs beside the one that it begins at. */
  neededAfter?(tap: string): readonly string[];
  extents(config: C): Extents;
  /** The number of auxiliary heads in training. */
  coarseLevels(config: C): number;
  /** Throws unless the network can take patches [D,H,W]. */
  checkPatch(patch: readonly number[], config: C): void;
}

/** The tensors of an output. */
export function tensorsOf({ logits, taps, coarse }: Output): Tensor[] {
  return [logits, ...Object.values(taps), ...coarse];
}
