// One stage of a run, ready to train on a device: a teacher or a student with the networks of its method,
// from its settings, cases and earlier networks. The command line and the page train the same stage; they
// differ in where they keep it.

import type { Modality } from "../../data/datasets/datasets.ts";
import type { LabelConvention } from "../../data/datasets/labels.ts";
import type { CommonGrid, Input } from "../../data/preparation/input.ts";
import { type Case, channelsThere } from "../../data/preparation/preprocess.ts";
import { inTurn, type SuppliedCase } from "../../data/preparation/supply.ts";
import type { Device } from "../../engine/index.ts";
import { append } from "../../engine/values.ts";
import { cardMetadata, type NetworkCard } from "../../model/files/card.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import { methodOf } from "../../model/methods/index.ts";
import { validatedSubsets } from "../../model/networks/anyContrasts.ts";
import { deployed, deployedConfig } from "../../model/networks/auxiliary.ts";
import { withBank } from "../../model/networks/banks.ts";
import { architectureOf, checkPrecision } from "../../model/networks/network.ts";
import { twoStream } from "../../model/networks/twoStream.ts";
import type { Params, Values } from "../../model/networks/params.ts";
import { diceByRegion, meanDice } from "../../model/scoring/metrics.ts";
import type { Region } from "../../model/scoring/regions.ts";
import { checkFinite } from "../loop/diverged.ts";
import { type FrozenNetwork, type Members, openMembers } from "../loop/members.ts";
import type { BatchSource, TrainEvent } from "../loop/options.ts";
import { beginning } from "../loop/position.ts";
import type { Validation } from "../loop/records.ts";
import {
  encodeTraining,
  readTensors,
  restoreTensors,
  SETTINGS_NOTE,
  type TrainingState,
} from "../loop/state.ts";
import { Trainer } from "../loop/trainer.ts";
import {
  networkConfig,
  networkContrasts,
  portable,
  preparation,
  runOf,
  stageName,
  type TrainConfig,
  trainingOptions,
} from "../settings/config.ts";
import { predictCase, seenBy } from "./prediction.ts";
import { type JudgedWindow, judgedWindows, presenceScores } from "./presence.ts";

/** A checkpoint's card: its network, and how its input was made. */
export type ModelCard = NetworkCard & Input;

export interface StageOptions {
  config: TrainConfig;
  /** The modalities of the loaded cases, in channel order. */
  modalities: readonly string[];
  /** Cases to validate on; there may be none. */
  validation: readonly SuppliedCase[];
  /** Batches without end, by the method's streams, and their number an epoch. */
  sources: Readonly<Record<string, BatchSource>>;
  stepsPerEpoch: number;
  /** The convention of the data's labels, for the card. */
  labels: LabelConvention;
  /** The grid of the training cases, for the card. */
  grid?: CommonGrid | undefined;
  /** The networks of earlier stages, by their names. */
  frozen: (stage: string) => FrozenNetwork;
  /** First weights, of the same network. */
  init?: Readonly<Record<string, Values>> | null;
  /** First weights of its encoder alone. */
  initEncoder?: Readonly<Record<string, Values>> | null;
  /** The state to resume, and the name of its file. */
  state?: (TrainingState & { path: string }) | null;
  /** Called with each validation case and its predicted classes. */
  validated?: (prepared: Case, classes: Uint8Array, index: number) => void;
}

export class Stage {
  readonly name: string;
  readonly config: TrainConfig;
  readonly trainer: Trainer;
  readonly stepsPerEpoch: number;
  readonly #members: Members;
  readonly #options: StageOptions;
  readonly #device: Device;

  /** Throws a CheckpointError for a state or first weights of another network. */
  constructor(device: Device, options: StageOptions) {
    const { config, modalities, state = null, sources, stepsPerEpoch } = options;
    checkPrecision(device, config.precision);
    this.name = stageName(config);
    this.config = config;
    this.stepsPerEpoch = stepsPerEpoch;
    this.#options = options;
    this.#device = device;
    this.#members = openStageMembers(device, options);
    this.trainer = new Trainer({
      device,
      method: methodOf(config.method),
      run: runOf(config, modalities),
      members: this.#members,
      ...trainingOptions(config),
      stepsPerEpoch,
      sources,
      ...(options.validation.length && { validate: () => this.#validate() }),
      position: state?.position ?? beginning(),
      now: () => performance.now(),
    });
    if (state) restoreTensors(this.trainer.learner, state, state.path);
  }

  /** The parameters of the network that is validated, saved and used. */
  get params(): Params {
    return this.trainer.learner.deployed.params;
  }

  /** Bytes of all that a training state holds. */
  get stateBytes(): number {
    return [...this.trainer.learner.tensors.values()].reduce((sum, { size }) => sum + 4 * size, 0);
  }

  /** The part of a V-Net that the network is, if it segments nothing. */
  get #part(): Pick<ModelCard, "part"> {
    const { part } = architectureOf(this.trainer.learner.deployed);
    return part ? { part } : {};
  }

  /** The card of the network after so many epochs and steps. */
  card(epoch: number, step: number): ModelCard {
    const { config } = this;
    const { architecture } = this.trainer.learner.deployed.spec;
    return {
      network: networkConfig(config),
      ...this.#part,
      ...(architecture && !architecture.part && { architecture: twoStream.kind }),
      ...networkContrasts(config),
      patch: config.patch,
      window: config.window,
      labels: this.#options.labels,
      ...(this.#options.grid && { grid: this.#options.grid }),
      ...preparation(config),
      stage: this.name,
      epoch,
      step,
      seed: config.seed,
    };
  }

  /**
   * The network's checkpoint, without heads that only training has. Throws a DivergedError rather than store
   * NaN.
   */
  modelFile(epoch: number, step: number): Promise<Uint8Array<ArrayBuffer>> {
    return encodeModel(this.params, this.card(epoch, step), this.name);
  }

  /**
   * The checkpoints of the networks that the method trains beside the deployed one, by their names; none of a
   * pretraining. Errors as in modelFile().
   */
  async filesBeside(epoch: number, step: number): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
    const files: Record<string, Uint8Array<ArrayBuffer>> = {};
    const { deployed } = this.trainer.learner;
    if (this.config.stage === "pretrain") return files;
    for (const [role, { params, spec, role: how }] of Object.entries(this.#members)) {
      if (!("group" in how) || how.onlyInTraining || params === deployed.params) continue;
      const { modalities, any, config: network } = spec;
      const { any: _, ...card } = this.card(epoch, step);
      const own = { network, modalities: [...modalities] as Modality[], ...(any && { any }) };
      const stage = `${this.name}_${role}`;
      files[role] = await encodeModel(params, { ...card, ...own, stage, role }, stage);
    }
    return files;
  }

  /** The training state at a checkpoint event. Throws a DivergedError rather than store NaN. */
  async stateFile({
    position,
    data,
  }: Extract<TrainEvent, { type: "checkpoint" }>): Promise<Uint8Array<ArrayBuffer>> {
    const { learner, steps } = this.trainer;
    const tensors = await readTensors(learner);
    return encodeTraining(
      { tensors, position, data },
      stateNotes(this.card(position.epoch - 1, steps), this.config),
    );
  }

  /** Frees the training and all its networks. */
  free(): void {
    this.trainer.free();
    for (const params of new Set(Object.values(this.#members).map((member) => member.params))) params.free();
  }

  /**
   * The mean Dice of the validation cases; of a network that takes any contrasts, over each contrast alone
   * and all together; of one that sees one contrast at a time, the mean over the contrasts. Null where the
   * training was stopped before the last.
   */
  async #validate(): Promise<Validation | null> {
    if (this.#part.part === "classifier") return this.#validatePresence();
    const { validation, validated } = this.#options;
    const scores: (Record<Region, number> & { shown: string })[] = [];
    const contrasts = networkContrasts(this.config);
    const { deployed } = this.trainer.learner;
    let index = 0;
    for await (const prepared of inTurn(validation)) {
      let classes: Uint8Array = new Uint8Array();
      for (const shown of validatedSubsets(contrasts, channelsThere(prepared))) {
        if (this.trainer.stopping) return null;
        const seen = seenBy(prepared, contrasts, shown);
        const network = withBank(deployed, shown[0]!);
        classes = await predictCase(this.#device, network, seen, this.config);
        scores.push({ ...diceByRegion(classes, prepared.label!), shown: shown.join() });
      }
      validated?.(prepared, classes, index++);
    }
    if (!contrasts.each) return meanDice(scores);
    const byContrast = contrasts.modalities.flatMap((name) => {
      const own = scores.filter(({ shown }) => shown === name);
      return own.length ? [[name, meanDice(own)] as const] : [];
    });
    const mean = meanDice(byContrast.map(([, one]) => one));
    return { ...mean, contrasts: Object.fromEntries(byContrast) };
  }

  /** The AUC of the regions' presence in the windows of the validation cases; null as above. */
  async #validatePresence(): Promise<Validation | null> {
    const contrasts = networkContrasts(this.config);
    const { deployed } = this.trainer.learner;
    const windows: JudgedWindow[] = [];
    for await (const prepared of inTurn(this.#options.validation))
      for (const shown of validatedSubsets(contrasts, channelsThere(prepared))) {
        if (this.trainer.stopping) return null;
        const seen = { ...seenBy(prepared, contrasts, shown), label: prepared.label! };
        append(windows, await judgedWindows(this.#device, deployed, seen, this.config));
      }
    return presenceScores(windows);
  }
}

/** The networks of a stage, by the roles of its method; `zeros` for estimates. */
export function openStageMembers(
  device: Device,
  {
    config,
    modalities,
    frozen,
    init = null,
    initEncoder = null,
    zeros = false,
  }: Pick<StageOptions, "config" | "modalities" | "frozen" | "init" | "initEncoder"> & { zeros?: boolean },
): Members {
  const { seed, precision, lowMemory, control } = config;
  const options = { seed, precision, lowMemory, control, frozen, init, initEncoder, zeros };
  return openMembers(device, methodOf(config.method), runOf(config, modalities), options);
}

/**
 * The metadata of a training state: its network's card, and its settings, so that it can be resumed
 * elsewhere.
 */
export function stateNotes(card: ModelCard, config: TrainConfig): Record<string, string> {
  return { ...cardMetadata(card), [SETTINGS_NOTE]: JSON.stringify(portable(config)) };
}

/**
 * A network's checkpoint; `where` names it in errors. Throws a DivergedError rather than store NaN or
 * infinity.
 */
export async function encodeModel(
  params: Params,
  card: ModelCard,
  where: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = await deployed(params);
  checkFinite(tensors, where);
  return encodeSealed(tensors, cardMetadata({ ...card, network: deployedConfig(card.network) }));
}
