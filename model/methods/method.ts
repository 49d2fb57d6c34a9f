// A method is one file: what it is called, where it comes from, its settings, its networks, and one step of its
// training. The trainer owns everything around the step: batches, the optimizers, saving, resuming, validation.

import type { Random, Tensor } from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import type { Architecture, How } from "../networks/architecture.ts";
import type { BatchOutput } from "../networks/parts.ts";
import type { VnetConfig } from "../networks/layers.ts";
import type { SettingRows, SettingValues } from "../settings/rows.ts";

/** A way to train a network. `Net` are the names of its networks, `S` its settings, `In` its streams of batches. */
export interface Method<
  Net extends string = string,
  S extends SettingRows = SettingRows,
  In extends string = string,
> {
  /** On the command line and in the names of folders. */
  name: string;
  /** In tables, reports and the page. */
  title: string;
  /** The paper: authors, place, year, number. */
  source: string;
  /** Settings of its own, one row each: they become flags, help, config.json, and fields of the page's form. */
  settings: S;
  /** The methods that --baselines trains beside it; none unless given. */
  comparedWith?: readonly string[];
  /** Settings that it needs other defaults of, by their names. */
  defaults?: Readonly<Record<string, unknown>>;
  /** The networks of a step. */
  networks(run: Run<SettingValues<S>>): Readonly<Record<Net, Role>>;
  /** The network that is validated, saved as best, and used; null for a pretraining, which scores its own way. */
  deployed: NoInfer<Net> | null;
  /** The streams of batches that a step takes; { paired: {} } unless given. */
  streams?(run: Run<SettingValues<S>>): Readonly<Record<In, Stream>>;
  /** Tensors beside the networks' that are trained too: saved in the training state, not with the deployed network. */
  own?(run: Run<SettingValues<S>>): Readonly<Record<string, OwnTensor>>;
  /** Optimizers by group, where they are others than the settings' one. */
  groups?(run: Run<SettingValues<S>>): Readonly<Record<string, OptimizerSpec>>;
  /** Stretches of the training, one after another; one unless given. */
  phases?(run: Run<SettingValues<S>>): readonly Phase<NoInfer<Net>>[];
  /** One update of everything. It acts on the training through `update` and `after` alone, for it is rehearsed and measured too. */
  step(context: Step<Net, SettingValues<S>, In>): void;
  /** The score of a validation; the mean Dice of the regions unless given. */
  score?: Score;
}

/** The run that a method is asked to train. */
export interface Run<S = Readonly<Record<string, unknown>>> {
  /** The values of the method's settings. */
  settings: S;
  /** The network that the stage is for: a student's, or a teacher's. */
  network: NetworkSpec;
  /** The modalities of the loaded cases, in the order of a batch's channels. */
  modalities: readonly string[];
  /** The optimizer that the settings describe. */
  optimizer: OptimizerSpec;
}

/** A kind of network, its sizes, and the modalities that it sees, in channel order. */
export interface NetworkSpec {
  /** A V-Net unless given. */
  architecture?: Architecture<VnetConfig>;
  config: VnetConfig;
  modalities: readonly string[];
}

/** A network's part in the training. */
export type Role =
  /** Trained by an optimizer group, which has its own learning rate, clipping and guard against non-finite gradients. */
  | { spec: NetworkSpec; group: string }
  /** A network that was trained before, by the name of its stage ("teacher", "student_t1"). A tape may pass through it. */
  | { frozen: string }
  /** The moving average of another network's weights: average ← m·average + (1 - m)·weights after each step. */
  | { averageOf: string; momentum(done: number): number };

/** A stream of batches. */
export interface Stream {
  /** Which training cases it draws, by their index; all unless given. */
  cases?(index: number): boolean;
}

/** A trained tensor that belongs to the method and not to a network. */
export interface OwnTensor {
  shape: readonly number[];
  /** A value, or the deviation of a normal distribution around 0, or the bound of a uniform one. */
  init: { value: number } | { normal: number } | { uniform: number };
  group: string;
  /** Its learning rate, as a multiple of the group's; 1 unless given. */
  rate?: number;
}

/** An optimizer and its schedule. */
export interface OptimizerSpec {
  optimizer: "adam" | "sgd";
  /** Learning rate at the start. */
  lr: number;
  /** "poly": the rate decays with the power 0.9 of what is left, epoch by epoch, within each phase. */
  schedule: "poly" | "constant";
  /** L2 regularisation, added to the gradient. */
  weightDecay: number;
  /** SGD's. */
  momentum: number;
  /** Adam's, 0.9 and 0.999 unless given. */
  beta1?: number;
  beta2?: number;
  /** The largest norm of the group's gradients, to which larger ones are scaled; 0 for any. */
  clip: number;
}

/** A stretch of the training. */
export interface Phase<Net extends string = string> {
  name: string;
  /** Its part of the epochs; the parts of all phases add up to 1. */
  share: number;
  /** Networks that begin it with their first weights again, and their optimizers anew. */
  restart?: readonly Net[];
}

/** What a validation measures. */
export interface Score {
  name: string;
  better: "higher" | "lower";
}

/** The mean Dice of the regions. */
export const DICE: Score = { name: "Dice", better: "higher" };

/** What a step is given. */
export interface Step<Net extends string = string, S = unknown, In extends string = "paired"> {
  networks: Readonly<Record<Net, Runnable>>;
  /** The method's own tensors, by name. */
  own: Readonly<Record<string, Tensor>>;
  batch: Readonly<Record<In, DeviceBatch>>;
  settings: S;
  /** The part of the training that is done, from 0 to 1, and the phase by its name. */
  done: number;
  phase: string;
  /** Random numbers of this step alone: a step that is run again draws the same. */
  random: Random;
  /** Computes terms under the tape, and has the group's optimizer take a step. Once for each group that this step trains. */
  update(group: string, terms: () => Terms): void;
  /** Registers what changes state after all updates; not called when the step is rehearsed or measured. */
  after(change: () => void): void;
}

/** A network in a step. */
export interface Runnable {
  spec: NetworkSpec;
  /**
   * Runs on its modalities of a batch, or on a tensor [N,M,D,H,W]. A trained network runs in training mode within
   * update(), and in evaluation mode elsewhere; a frozen or averaged one always in evaluation mode.
   */
  run(input: DeviceBatch | Tensor, how?: Partial<How>): BatchOutput;
  /** The rest of the network after a tap, from features in place of its own; `from` as in Architecture. */
  tail(tap: string, features: Tensor, from?: Readonly<Record<string, Tensor>>): BatchOutput;
}

/** A batch of patches on the device; each part is uploaded when it is first asked for. */
export interface DeviceBatch {
  /** The ids of the N cases. */
  cases: readonly string[];
  /** Classes [N,D,H,W]. */
  readonly label: Tensor;
  /** The label at half the resolution, a quarter, …, for so many levels. */
  coarseLabels(levels: number): readonly Tensor[];
  /** The images of these modalities [N,M,D,H,W]. */
  images(modalities: readonly string[]): Tensor;
}

/** Declares a method; TypeScript finds the types of its parts. */
export function method<
  const Net extends string,
  const S extends SettingRows,
  const In extends string = "paired",
>(declared: Method<Net, S, In>): Method<Net, S, In> {
  return declared;
}
