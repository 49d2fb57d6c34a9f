// Makes the networks of a method by their roles, its own tensors, and the optimizer groups that train them.

import {
  Adam,
  cosineRate,
  decayRate,
  type Device,
  GradientGuard,
  type Optimizer,
  polyRate,
  type Precision,
  Sgd,
  type Tensor,
} from "../../engine/index.ts";
import {
  type Method,
  type NetworkSpec,
  type OptimizerSpec,
  type OwnTensor,
  type Role,
  rolesOf,
  type Run,
} from "../../model/methods/index.ts";
import { initialSource } from "../../model/networks/auxiliary.ts";
import type { Network } from "../../model/networks/network.ts";
import { Params, type ParamSource, type Values } from "../../model/networks/params.ts";
import { type Control, untrainedSource } from "./controls.ts";

/** A network of a training, with its role and the modalities that it sees. */
export interface Member extends Network {
  role: Role;
  spec: NetworkSpec;
}

/** The networks of a method by their names. */
export type Members = Readonly<Record<string, Member>>;

/** A network that was trained before. */
export interface FrozenNetwork {
  spec: NetworkSpec;
  values: Readonly<Record<string, Values>>;
}

/** The source of first weights, and how networks compute. */
export interface MemberOptions {
  /** The seed of all random draws. */
  seed: number;
  /** First weights of the deployed network, instead of drawn ones. */
  init?: Readonly<Record<string, Values>> | null;
  /** First weights of the deployed network's encoder; all others are drawn. */
  initEncoder?: Readonly<Record<string, Values>> | null;
  /** Returns the network that an earlier stage trained. */
  frozen: (stage: string) => FrozenNetwork;
  precision: Precision;
  lowMemory: boolean;
  /** By default "none". */
  control?: Control;
  /** All weights are 0, for memory estimates: drawing them would take most of the time. */
  zeros?: boolean;
}

/** Makes the networks of a method. Weights are uploaded when a network first runs. */
export function openMembers(device: Device, method: Method, run: Run, options: MemberOptions): Members {
  const roles = rolesOf(method, run);
  const made: Record<string, Member> = {};
  const member = (name: string): Member => (made[name] ??= open(name, roles[name]));
  const open = (name: string, role: Role | undefined): Member => {
    if (!role)
      throw new Error(
        `method ${method.name}: expected networks ${Object.keys(roles).join(", ")}, got ${name}`,
      );
    if ("sameAs" in role) return { ...member(role.sameAs), role };
    const { precision, lowMemory } = options;
    if ("frozen" in role) {
      const { spec, values } = options.frozen(role.frozen);
      const place = Object.keys(roles).indexOf(name);
      const kept = options.control === "untrained" ? untrainedSource(options.seed, place) : { values };
      return network(device, { role, spec, precision }, options.zeros ? { zeros: true } : kept);
    }
    const spec = "spec" in role ? role.spec : member(role.averageOf).spec;
    const first = name === method.deployed || ("averageOf" in role && role.averageOf === method.deployed);
    return network(device, { role, spec, precision, lowMemory }, sourceOf(spec, first, options));
  };
  for (const name of Object.keys(roles)) member(name);
  return Object.fromEntries(Object.keys(roles).map((name) => [name, made[name]!]));
}

function sourceOf(spec: NetworkSpec, first: boolean, options: MemberOptions): ParamSource {
  const { seed, init, initEncoder, zeros } = options;
  if (zeros) return { zeros: true };
  if (first && initEncoder) return { values: initEncoder, seed, drawn: (name) => !(name in initEncoder) };
  return first && init ? initialSource(init, spec.config.deepSupervision ?? false, seed) : { seed };
}

function network(
  device: Device,
  { role, spec, precision, lowMemory = false }: Pick<Member, "role" | "spec" | "precision" | "lowMemory">,
  source: ParamSource,
): Member {
  const { architecture, config, banks } = spec;
  const params = new Params(device, source);
  return {
    role,
    spec,
    params,
    config,
    lowMemory,
    ...(precision && { precision }),
    ...(architecture && { architecture }),
    ...(banks && { banks }),
  };
}

/** The prefix of a network's tensors in a training state: none for the deployed one. */
export function prefixOf(method: Method, name: string): string {
  return name === method.deployed ? "" : `role/${name}/`;
}

/** A method's own tensors, made on the device. */
export function openOwn(device: Device, tensors: Readonly<Record<string, OwnTensor>>, seed: number): Params {
  const params = new Params(device, { seed });
  for (const [name, tensor] of Object.entries(tensors)) {
    if ("averageOf" in tensor) continue;
    const { shape, init } = tensor;
    const key = `own/${name}`; // values are drawn by this name, so that other tensors' do not change
    if ("value" in init) params.constant(key, shape, init.value);
    else if ("normal" in init) params.normal(key, shape, init.normal);
    else params.weight(key, shape, init.uniform ** -2);
  }
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!("averageOf" in tensor)) continue;
    const { shape, size, buffer, storage } = params.tensors.get(`own/${tensor.averageOf}`)!;
    const average = params.constant(`own/${name}`, shape, 0);
    device.copy(buffer, storage.offset, average.buffer, average.storage.offset, 4 * size);
  }
  return params;
}

/** A method's own tensors by the names that it gives them. */
export function ownByName({ tensors }: Params): Record<string, Tensor> {
  return Object.fromEntries([...tensors].map(([name, t]) => [name.slice("own/".length), t]));
}

/** A trained tensor, by its name in a training state. */
export interface TrainedTensor {
  name: string;
  tensor: Tensor;
  /** Its learning rate, as a multiple of the group's; by default 1. */
  rate?: number;
  /** True where a phase leaves it as it is. */
  holdable?: boolean;
  /** True where it has no L2 regularisation. */
  undecayed?: boolean;
}

/** How much of a phase is done, from 0 to 1, when its epoch began, and at this step. */
export interface PhaseDone {
  phaseDone: number;
  exactlyDone: number;
}

/** Tensors that one optimizer trains, with their own clipping and guard. */
export class Group {
  readonly name: string;
  readonly names: readonly string[];
  readonly optimizer: Optimizer;
  readonly guard: GradientGuard;
  readonly #spec: OptimizerSpec;

  /** `scaled`: the loss is scaled to the range of half precision. Throws for no tensors. */
  constructor(
    device: Device,
    {
      name,
      spec,
      trained,
      scaled,
    }: { name: string; spec: OptimizerSpec; trained: readonly TrainedTensor[]; scaled: boolean },
  ) {
    this.name = name;
    this.names = trained.map((entry) => entry.name);
    this.#spec = spec;
    const params = trained.map(({ tensor }) => tensor);
    const rates = trained.map(({ rate = 1 }) => rate);
    const holdable = trained.flatMap((entry) => (entry.holdable ? [entry.tensor] : []));
    const undecayed = trained.flatMap((entry) => (entry.undecayed ? [entry.tensor] : []));
    const { optimizer, weightDecay: decay, momentum, beta1, beta2, clip } = spec;
    this.guard = new GradientGuard(device, { clip, scaled });
    this.optimizer =
      optimizer === "adam"
        ? new Adam(params, {
            decay,
            rates,
            holdable,
            undecayed,
            ...(beta1 !== undefined && { beta1 }),
            ...(beta2 !== undefined && { beta2 }),
          })
        : new Sgd(params, { decay, momentum, rates, holdable, undecayed });
  }

  /** The learning rate of a step. */
  lr({ phaseDone, exactlyDone }: PhaseDone): number {
    const { lr, schedule } = this.#spec;
    if (schedule === "cosine") return cosineRate(lr, exactlyDone);
    if (schedule === "decay") return decayRate(lr, phaseDone);
    return schedule === "poly" ? polyRate(lr, phaseDone) : lr;
  }

  /** Until the next call, leaves the tensors of these names as they are, with their moments. */
  hold(names: readonly string[]): void {
    this.optimizer.hold(this.optimizer.params.filter((_, i) => names.includes(this.names[i]!)));
  }

  /** Resets the optimizer: no moments, no steps. */
  restart(): void {
    for (const moment of Object.values(this.optimizer.moments).flat())
      moment.write(new Float32Array(moment.size));
    this.optimizer.steps = 0;
  }

  /** The group's tensors in a training state, by name: moments and the guard's state. */
  get state(): [string, Tensor][] {
    const moments = Object.entries(this.optimizer.moments).flatMap(([kind, tensors]) =>
      tensors.map((t, i): [string, Tensor] => [`optimizer.${this.name}/${kind}.${this.names[i]!}`, t]),
    );
    return [...moments, [`optimizer.${this.name}/guard`, this.guard.state]];
  }

  free(): void {
    this.optimizer.free();
    this.guard.free();
  }
}
