// What a kind of network is to everything else: its sizes, its tensors, its forward pass. One file for each kind.

import type { Tensor } from "../../engine/index.ts";
import type { Params } from "./params.ts";

/** `train`: batch norms use the batch's statistics and update the running ones. `eval`: they use the running ones. */
export type Mode = "train" | "eval";

/** How a network is run. */
export interface How {
  mode: Mode;
  /** Inner features to return beside the logits, by name: for a V-Net E_1 … E_L and D_{L-1} … D_1 (see vnet.ts). */
  taps?: readonly string[];
  /** Gradient checkpointing: keep fewer activations, and compute them again in the backward pass. The bits are the same. */
  lowMemory?: boolean;
  /** The bank of norm parameters to use; none for a network with one set. */
  domain?: string;
}

/** A network's answer to x [N,M,D,H,W]. */
export interface Output {
  /** [N,classes,D,H,W], f32. */
  logits: Tensor;
  /** The features asked for, by name. */
  taps: Readonly<Record<string, Tensor>>;
  /** Logits of the auxiliary heads, f32: [N,classes,D/2,H/2,W/2], [N,classes,D/4,…], … ; only in training. */
  coarse: readonly Tensor[];
}

/** Channels at full resolution, for whoever must know which tensors fit the adapter's bindings. */
export interface Extents {
  /** Of the input and the logits, which cannot be cut. */
  whole: number;
  /** Of the widest activation at full resolution. */
  widest: number;
  /** Whether samples of a batch depend on each other, as with batch norm: then a batch cannot be cut into parts. */
  coupled: boolean;
}

/** A kind of network; C are its sizes. */
export interface Architecture<C = unknown> {
  kind: string;
  /** The names and shapes of all tensors, in the order in which forward() asks for them. */
  tensors(config: C): Map<string, readonly number[]>;
  forward(params: Params, x: Tensor, config: C, how: How): Output;
  /**
   * The rest of the network after a tap, from features in place of its own. `taps` are those of the same input that the
   * rest needs: the encoder's outputs E_1, … that skips carry across. Left out where a kind has none.
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
