// The interface of a method. A method is one file with its name, its source, its settings, its networks and
// one step of its training; the trainer does everything around the step: batches, optimizers, saving,
// resuming, validation.

import type { Random, Tensor } from "../../engine/index.ts";
import type { Terms } from "../losses/losses.ts";
import type { Architecture, How } from "../networks/architecture.ts";
import type { BatchOutput } from "../networks/parts.ts";
import type { VnetConfig } from "../networks/layers.ts";
import type { SettingRows, SettingValues } from "../settings/rows.ts";

/**
 * A way to train a network, with the names of its networks `Net`, its settings `S`, and its streams of
 * batches `In`.
 */
export interface Method<
  Net extends string = string,
  S extends SettingRows = SettingRows,
  In extends string = string,
> {
  /** Its name on the command line and in the names of folders. */
  name: string;
  /** Its name in tables, reports and the page. */
  title: string;
  /** The paper: authors, place, year, number. */
  source: string;
  /** The loss that it minimises, in a few lines of plain text, for docs/reference/methods.md. */
  formula?: string;
  /** Which parts are verified against the paper or its code, and which are our choices. */
  verified?: string;
  /**
   * Its own settings, one row each: they become flags, help, keys of config.json and fields of the page's
   * form.
   */
  settings: S;
  /** Its own defaults of settings, by their names. */
  defaults?: Readonly<Record<string, unknown>>;
  /**
   * True for a method that trains one network on each of several contrasts alone: --modality lists them, and
   * each gets a checkpoint of its own.
   */
  eachContrast?: true;
  /** Why a step is far slower than others', for the page's list; not given for a method that is not. */
  slow?: string;
  /** True for a method whose network says which regions a patch shows, and segments nothing. */
  classifies?: true;
  /** True for a method that needs scans without labels. */
  needsUnlabelled?: true;
  /** The least number of samples in a batch; by default 1. */
  leastBatch?(settings: SettingValues<S>): number;
  /** The networks of a step. */
  networks(run: Run<SettingValues<S>>): Readonly<Record<Net, Role>>;
  /** The network that is validated, saved as best, and used; null for a pretraining. */
  deployed: NoInfer<Net> | null;
  /** The network that a pretraining saves, as first weights of later stages. */
  saved?: NoInfer<Net>;
  /** The streams of batches that a step takes; by default { paired: {} }. */
  streams?(run: Run<SettingValues<S>>): Readonly<Record<In, Stream>>;
  /**
   * More trained tensors beside the networks, which may depend on the networks' sizes: saved in the training
   * state, not with the deployed network.
   */
  own?(
    run: Run<SettingValues<S>>,
    networks: Readonly<Record<NoInfer<Net>, NetworkSpec>>,
  ): Readonly<Record<string, OwnTensor>>;
  /** Optimizers of groups that do not use the settings' optimizer. */
  groups?(run: Run<SettingValues<S>>): Readonly<Record<string, OptimizerSpec>>;
  /** The phases of a training of so many epochs; by default one. */
  phases?(run: Run<SettingValues<S>>, epochs: number): readonly Phase<NoInfer<Net>>[];
  /**
   * One training step. It changes the training only through `update` and `after`, for it is also rehearsed
   * and measured.
   */
  step(context: Step<Net, SettingValues<S>, In>): void;
  /**
   * Judges the training by the numbers that a step observed. Returns why it cannot go well any more, with its
   * remedy, or null.
   */
  judge?(observed: Readonly<Record<string, number>>, done: number): string | null;
  /** The score of a validation; by default the mean Dice of the regions. */
  score?: Score;
}

/** The run that a method trains. */
export interface Run<S = Readonly<Record<string, unknown>>> {
  /** The values of the method's settings. */
  settings: S;
  /** The network that the stage trains, a student's or a teacher's. */
  network: NetworkSpec;
  /** The modalities of the loaded cases, in the order of a batch's channels. */
  modalities: readonly string[];
  /** The optimizer that the settings describe. */
  optimizer: OptimizerSpec;
  /** True where the trained network takes the place of the stage "teacher": see rolesOf(). */
  selfTaught?: boolean;
}

/** A kind of network, its sizes, and the modalities that it sees, in channel order. */
export interface NetworkSpec {
  /** By default a V-Net. */
  architecture?: Architecture<VnetConfig>;
  config: VnetConfig;
  modalities: readonly string[];
  /** True for a network that takes any of its modalities: see networks/anyContrasts.ts. */
  any?: true;
  /** True for a network of one channel that sees each of its modalities alone. */
  each?: true;
  /** The modalities that have norms of their own: see networks/banks.ts. */
  banks?: readonly string[];
}

/** A network's role in the training. */
export type Role =
  /**
   * Trained by an optimizer group, which has its own learning rate, clipping and guard against non-finite
   * gradients.
   */
  | {
      spec: NetworkSpec;
      group: string;
      /** True for a network that only the training uses: it has no checkpoint of its own. */
      onlyInTraining?: true;
    }
  /** Trained before, in the stage of this name ("teacher", "student_t1"). A tape may pass through it. */
  | { frozen: string }
  /**
   * The moving average of another network's weights: average ← m·average + (1 - m)·weights after each step.
   */
  | { averageOf: string; momentum(done: number): number }
  /** The weights of another network, which see every contrast of a case. */
  | { sameAs: string };

/** A stream of batches. */
export interface Stream {
  /** The modality that its cases must have; by default they may lack any. */
  sees?: string;
  /** Selects training patients by their place in the order of their case ids; by default all. */
  patients?(index: number): boolean;
  /**
   * Makes the stream a view: all views show the same patches, each with its own augmentation, and no labels.
   */
  view?: number;
  /** True for the scans of --unlabelled, which show no labels. */
  unlabelled?: true;
  /** The share of a batch's patches that are placed where they show no tumour; by default 0. */
  healthy?: number;
}

/** A tensor that belongs to the method and not to a network. */
export type OwnTensor = TrainedOwn | AveragedOwn | StateOwn;

/** A shape, and first values: one value, a normal distribution's deviation around 0, or a uniform's bound. */
interface Drawn {
  shape: readonly number[];
  init: { value: number } | { normal: number } | { uniform: number };
}

/** An own tensor that an optimizer group trains. */
export interface TrainedOwn extends Drawn {
  group: string;
  /** Its learning rate as a multiple of the group's; by default 1. */
  rate?: number;
  /** True where it has no L2 regularisation. */
  undecayed?: true;
}

/** The moving average of another own tensor, with the same first values. */
export interface AveragedOwn {
  averageOf: string;
  momentum(done: number): number;
}

/** An own tensor that the method itself changes, in after(). */
export interface StateOwn extends Drawn {
  state: true;
}

/** An optimizer and its schedule. */
export interface OptimizerSpec {
  optimizer: "adam" | "sgd";
  /** Learning rate at the start. */
  lr: number;
  /**
   * "poly": in each epoch of a phase the rate is lr · (1 - done)^0.9, with the part of the phase done.
   * "cosine": in each step of a phase it follows cosineRate().
   * "decay": in each epoch of a phase it follows decayRate().
   */
  schedule: "poly" | "cosine" | "decay" | "constant";
  /** L2 regularisation, added to the gradient. */
  weightDecay: number;
  /** The momentum of SGD. */
  momentum: number;
  /** Adam's betas; by default 0.9 and 0.999. */
  beta1?: number;
  beta2?: number;
  /** Gradients of the group with a larger norm are scaled to this one; 0 for no limit. */
  clip: number;
}

/** A phase of the training. */
export interface Phase<Net extends string = string> {
  name: string;
  /** Its share of the epochs; the shares of all phases add up to 1. */
  share: number;
  /** Networks that are reset to their first weights when it begins, with their optimizers. */
  restart?: readonly Net[];
  /** The method's own tensors that it leaves as they are, by the names of own(). */
  holds?: readonly string[];
  /** Tensors of networks that it leaves as they are, by their names in the network. */
  holdsWeights?: Readonly<Partial<Record<Net, readonly string[]>>>;
  /** True where the best network of the phases before does not count any more. */
  forgets?: true;
  /** True where the learning rate goes on as if the phase before had not ended. */
  continues?: true;
}

/** The score of a validation. */
export interface Score {
  name: string;
  better: "higher" | "lower";
}

/** The mean Dice of the regions. */
export const DICE: Score = { name: "Dice", better: "higher" };

/** The stage of a teacher, which sees every contrast. */
export const TEACHER = "teacher";

/** The context of a step. */
export interface Step<Net extends string = string, S = unknown, In extends string = "paired"> {
  networks: Readonly<Record<Net, Runnable>>;
  /** The method's own tensors, by name. */
  own: Readonly<Record<string, Tensor>>;
  batch: Readonly<Record<In, DeviceBatch>>;
  settings: S;
  /** The part of the training that is done, from 0 to 1; and the name of the phase. */
  done: number;
  phase: string;
  /** Random numbers of this step: running the step again draws the same ones. */
  random: Random;
  /**
   * Computes terms under the tape and takes a step of the group's optimizer. Call it once per group that
   * trains.
   */
  update(group: string, terms: () => Terms): void;
  /**
   * Logs numbers of the step that nothing minimises, for judge() too: of `values` [N, names] the mean over N
   * of each column, or one scalar. A name such as "teacherWeight/t1" is a line of the chart "teacherWeight".
   */
  observe(names: readonly string[], values: Tensor): void;
  /**
   * Registers a change of state after all updates; skipped when the step is rehearsed or measured. The
   * step's tensors are still there.
   */
  after(change: () => void): void;
}

/** A network in a step. */
export interface Runnable {
  spec: NetworkSpec;
  /**
   * Runs on its modalities of a batch, or on a tensor [N,M,D,H,W]. A trained network runs in training mode
   * within update() and in evaluation mode elsewhere; all others always run in evaluation mode. Where a
   * trained network takes any contrasts, it sees the subset that is drawn for each sample of the step; all
   * others see every contrast of a case.
   */
  run(input: DeviceBatch | Tensor, how?: Partial<How>): BatchOutput;
  /** Runs the rest of the network after a tap, from given features; `from` as in Architecture. */
  tail(tap: string, features: Tensor, from?: Readonly<Record<string, Tensor>>): BatchOutput;
}

/** A batch of patches on the device; each part is uploaded on first use. */
export interface DeviceBatch {
  /** The ids of the N cases. */
  cases: readonly string[];
  /** Classes [N,D,H,W]. */
  readonly label: Tensor;
  /** The label at half the resolution, a quarter, …, for this many levels. */
  coarseLabels(levels: number): readonly Tensor[];
  /** The images of these modalities [N,M,D,H,W]. */
  images(modalities: readonly string[]): Tensor;
  /**
   * The input [N,2M,D,H,W] of a network that takes any of these modalities: those that are drawn for each
   * sample of the step, or every one that its case has.
   */
  anyImages(modalities: readonly string[], shown: "drawn" | "every"): Tensor;
}

/** Declares a method; TypeScript infers the types of its parts. */
export function method<
  const Net extends string,
  const S extends SettingRows,
  const In extends string = "paired",
>(declared: Method<Net, S, In>): Method<Net, S, In> {
  return declared;
}
