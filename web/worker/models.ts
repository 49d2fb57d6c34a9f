// The networks in the worker: the example's, the user's files, and those trained here.

import { type Input, INPUT, PUBLISHED_INPUT } from "../../data/preparation/input.ts";
import { MODALITIES, type Modality } from "../../data/datasets/source.ts";
import type { Device } from "../../engine/index.ts";
import {
  architectureIn,
  cardMetadata,
  decodeModel,
  type NetworkCard,
  type StoredModel,
} from "../../model/files/card.ts";
import { CheckpointError } from "../../model/errors.ts";
import type { Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { describeVnet } from "../../model/files/published.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import type { FrozenNetwork } from "../../trainer/loop/members.ts";
import type { ModelInfo } from "./protocol.ts";

const PUBLISHED_WINDOW: NetworkCard["patch"] = [96, 128, 128];

/** How to use a network. */
export type Use = Input & Pick<NetworkCard, "patch" | "window" | "stage">;

interface Known {
  name: string;
  stored: StoredModel<Input>;
  /** Null for a network without metadata, until the user chooses its modality. */
  use: Use | null;
  network: { on: Device; network: Network } | null;
}

export class Models {
  readonly #known = new Map<string, Known>();

  /** Adds a checkpoint, in place of one of the same name. Throws a CheckpointError. */
  async add(bytes: Uint8Array, name: string): Promise<ModelInfo> {
    const stored = await decodeModel(bytes, name, INPUT);
    const { card, network } = stored;
    let use: Use | null = card;
    if (!card && network.modalities === MODALITIES.length) use = published(name, [...MODALITIES]);
    if (!card && network.modalities !== 1 && network.modalities !== MODALITIES.length) {
      throw new CheckpointError(
        `${name}: expected metadata with its ${network.modalities} modalities, got none`,
      );
    }
    this.#known.get(name)?.network?.network.params.free();
    this.#known.set(name, { name, stored, use, network: null });
    return this.#info(name);
  }

  list(): ModelInfo[] {
    return [...this.#known.keys()].map((id) => this.#info(id));
  }

  /** Sets the modality of a network of one modality without metadata. */
  sees(id: string, modality: Modality): ModelInfo {
    const known = this.#get(id);
    known.use = published(known.name, [modality]);
    return this.#info(id);
  }

  /** How to use a network. Throws a CheckpointError if its modality is not chosen yet. */
  use(id: string): Use {
    const { use, name } = this.#get(id);
    if (use) return use;
    throw new CheckpointError(`${name}: its modality is unknown: choose it beside the name`);
  }

  /** A checkpoint of the network alone, as a file. */
  file(id: string): Promise<Uint8Array<ArrayBuffer>> {
    const { values, card } = this.#get(id).stored;
    return encodeSealed(values, card ? cardMetadata(card) : {});
  }

  /** The network as the frozen one of a training. */
  frozen(id: string): FrozenNetwork {
    const { values, network: config, card } = this.#get(id).stored;
    const { modalities, any } = this.use(id);
    return { spec: { config, modalities, ...(any && { any }), ...architectureIn(card) }, values };
  }

  /** The network on a device. */
  on(device: Device, id: string): Network {
    const known = this.#get(id);
    if (known.network?.on !== device) {
      const { values, network: config, card } = known.stored;
      const network = { params: new Params(device, { values }), config, ...architectureIn(card) };
      known.network = { on: device, network };
    }
    return known.network.network;
  }

  #get(id: string): Known {
    const known = this.#known.get(id);
    if (known) return known;
    throw new Error(`models: expected one of ${[...this.#known.keys()].join(", ") || "none"}, got ${id}`);
  }

  #info(id: string): ModelInfo {
    const { name, stored, use } = this.#get(id);
    const { card, network } = stored;
    const trained = card ? `${card.stage}, ${card.epoch} epochs` : "published, without metadata on its use";
    const about = `${describeVnet(network)}; ${trained}`;
    return { id, name, about, modalities: use?.modalities ?? [], ...(use?.any && { any: use.any }) };
  }
}

function published(stage: string, modalities: Modality[]): Use {
  return {
    ...PUBLISHED_INPUT,
    modalities,
    patch: PUBLISHED_WINDOW,
    window: "uniform",
    labels: "brats",
    stage,
  };
}
