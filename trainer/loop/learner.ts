// Everything that a method trains: its networks, its own tensors and their optimizer groups. A step can be
// taken, rehearsed on a device that only counts or plans, or measured.

import { free, grad, keep, MovingAverage, partials, scope, type Tensor } from "../../engine/index.ts";
import { streamAt, SUBSET } from "../../data/sampling/streams.ts";
import type { OwnTensor, Phase } from "../../model/methods/index.ts";
import { type Terms, total } from "../../model/losses/losses.ts";
import { initialise } from "../../model/networks/network.ts";
import type { Params } from "../../model/networks/params.ts";
import { type Parts, UploadedBatch } from "./batches.ts";
import { drawSubset } from "./drawSubset.ts";
import { untaught, withoutTeacher } from "./lacking.ts";
import type { LossReader, Scalar } from "./lossReader.ts";
import {
  Group,
  type Member,
  type Members,
  openOwn,
  ownByName,
  prefixOf,
  type TrainedTensor,
} from "./members.ts";
import { Observations } from "./observations.ts";
import type { Batches, ResolvedOptions } from "./options.ts";
import type { Place } from "./phases.ts";
import { gradientShares, recordShares } from "./shares.ts";
import { runStep, type StepOptions, type StepPlace } from "./step.ts";

/** A step whose losses have not been read yet. */
export interface Noted {
  step: number;
  cases: string[];
  /** The groups that it updated. */
  groups: string[];
  /** By name, the number of samples whose observed numbers the reader has the sum of. */
  observed: Record<string, number>;
}

/** The prefix of the guards' numbers among the losses. */
export const VERDICT = "guard/";

type Options = Pick<
  ResolvedOptions,
  "device" | "method" | "run" | "members" | "patch" | "epochs" | "seed" | "dropWeights" | "control"
>;

export class Learner {
  readonly members: Members;
  readonly groups: ReadonlyMap<string, Group>;
  /** The method's own tensors. */
  readonly own: Params;
  readonly #options: Options;
  readonly #stepOptions: StepOptions;
  readonly #parts = new Map<string, Parts>(); // of each stream's batches
  readonly #averages: readonly { average: MovingAverage; momentum: (done: number) => number }[];

  /** Makes the parameters in a first forward pass, and the optimizers' states. */
  constructor(options: Options) {
    const { device, method, run, members, patch, seed, control } = options;
    this.#options = options;
    this.members = members;
    for (const member of Object.values(members)) initialise(device, member, patch);
    this.own = openOwn(device, this.#declared, seed);
    const own = ownByName(this.own);
    this.#stepOptions = { method, settings: run.settings, members, own, patch, seed, control };
    const specs = method.groups?.(run) ?? {};
    const groups = [...this.#trained()].map(([name, trained]): [string, Group] => {
      return [
        name,
        new Group(device, { name, spec: specs[name] ?? run.optimizer, trained, scaled: this.half }),
      ];
    });
    this.groups = new Map(groups);
    const networks = Object.values(members).flatMap(({ role, params }) => {
      if (!("averageOf" in role)) return [];
      const source = members[role.averageOf]!.params;
      const pairs = [...params.tensors].map(([name, t]) => [t, source.tensors.get(name)!] as const);
      return [{ average: new MovingAverage(pairs), momentum: role.momentum }];
    });
    const tensors = Object.entries(this.#declared).flatMap(([name, tensor]) => {
      if (!("averageOf" in tensor)) return [];
      const pair = [own[name]!, own[tensor.averageOf]!] as const;
      return [{ average: new MovingAverage([pair]), momentum: tensor.momentum }];
    });
    this.#averages = [...networks, ...tensors];
  }

  /** The method's own tensors as it declares them. */
  get #declared(): Readonly<Record<string, OwnTensor>> {
    const { method, run, members } = this.#options;
    const specs = Object.fromEntries(Object.entries(members).map(([name, { spec }]) => [name, spec]));
    return method.own?.(run, specs) ?? {};
  }

  /** The trained tensors of each group: the networks' first, then the method's own. */
  #trained(): Map<string, TrainedTensor[]> {
    const { method, run, members, epochs } = this.#options;
    const groups = new Map<string, TrainedTensor[]>();
    const holdable = (method.phases?.(run, epochs) ?? []).flatMap((phase) => this.#heldIn(phase));
    const add = (group: string, entry: TrainedTensor) =>
      groups.set(group, [...(groups.get(group) ?? []), entry]);
    for (const [name, { role, params }] of Object.entries(members)) {
      if (!("group" in role)) continue;
      const trained = new Set(params.trained);
      const prefix = prefixOf(method, name);
      for (const [key, tensor] of params.tensors)
        if (trained.has(tensor))
          add(role.group, { name: prefix + key, tensor, holdable: holdable.includes(prefix + key) });
    }
    for (const [name, own] of Object.entries(this.#declared)) {
      if (!("group" in own)) continue;
      const { group, rate = 1, undecayed = false } = own;
      const [key, held] = [`own/${name}`, holdable.includes(`own/${name}`)];
      add(group, { name: key, tensor: this.own.tensors.get(key)!, rate, holdable: held, undecayed });
    }
    return groups;
  }

  /** The network that is validated and saved. */
  get deployed(): Member {
    const { deployed, saved } = this.#options.method;
    return this.members[deployed ?? saved ?? Object.keys(this.members)[0]!]!;
  }

  /** True if a trained network computes in half precision. */
  get half(): boolean {
    return Object.values(this.members).some(({ role, precision }) => "group" in role && precision === "f16");
  }

  /** Resets networks to their first weights, and their optimizers. */
  restart(names: readonly string[]): void {
    for (const name of names) {
      const { params, role } = this.members[name]!;
      params.reset();
      if ("group" in role) this.groups.get(role.group)!.restart();
    }
  }

  /** Until the next call, leaves the tensors as they are that a phase holds. */
  hold(phase: Phase): void {
    for (const group of this.groups.values()) group.hold(this.#heldIn(phase));
  }

  /** The names of the tensors that a phase holds, as in a training state. */
  #heldIn({ holds = [], holdsWeights = {} }: Phase): string[] {
    const ofNetwork = ([network, names = []]: [string, (readonly string[])?]) =>
      names.map((name) => prefixOf(this.#options.method, network) + name);
    return [...holds.map((name) => `own/${name}`), ...Object.entries(holdsWeights).flatMap(ofNetwork)];
  }

  /** All tensors that a training state holds, by name: the deployed network's under their own names. */
  get tensors(): Map<string, Tensor> {
    const networks = Object.entries(this.members).flatMap(([name, { role, params }]) => {
      const prefix = prefixOf(this.#options.method, name);
      return "frozen" in role || "sameAs" in role
        ? []
        : [...params.tensors].map(([key, t]) => [prefix + key, t] as const);
    });
    const groups = [...this.groups.values()].flatMap(({ state }) => state);
    return new Map([...networks, ...this.own.tensors, ...groups]);
  }

  /** Optimizer steps by group. */
  get updates(): Record<string, number> {
    return Object.fromEntries([...this.groups].map(([name, { optimizer }]) => [name, optimizer.steps]));
  }

  set updates(steps: Readonly<Record<string, number>>) {
    for (const [name, { optimizer }] of this.groups) optimizer.steps = steps[name] ?? 0;
  }

  /**
   * Takes a step, and hands its losses to the reader. Without a reader the step is a rehearsal: its learning
   * rate is 0, and it does not count.
   */
  step(batches: Batches, place: Place, reader: LossReader<Noted> | null): void {
    const { device } = this.#options;
    const scalars: Record<string, Tensor> = {};
    const verdicts: Record<string, Scalar> = {};
    const changes: (() => void)[] = [];
    const groups: string[] = [];
    const observed = new Observations();
    const { updates } = this;
    const taught = !untaught(batches, this.members);
    this.#onDevice(batches, place, (uploaded) =>
      runStep(this.#optionsOf(batches), uploaded, place, {
        after: (change) => void changes.push(change),
        observe: (names, values) => observed.take(names, values),
        finish: () => reader && changes.forEach((change) => change()),
        update: (name, make) => {
          const group = this.groups.get(name);
          if (!group)
            throw new Error(`update: expected one of ${[...this.groups.keys()].join(", ")}, got ${name}`);
          const prefix = groups.length ? `${name}.` : "";
          groups.push(name);
          const lr = reader ? group.lr(place) : 0;
          Object.assign(scalars, this.#update(group, make, { lr, prefix, taught }));
          for (const [what, scalar] of Object.entries(group.guard.verdict))
            verdicts[`${VERDICT}${name}/${what}`] = scalar;
        },
      }),
    );
    const sums = observed.sums();
    for (const { average, momentum } of this.#averages) average.update(reader ? momentum(place.done) : 1);
    if (reader) {
      const cases = Object.values(batches).flatMap((batch) => batch.cases);
      const noted = { step: place.number, cases, groups, observed: observed.counts };
      reader.note(noted, { ...scalars, ...verdicts, ...sums });
    } else this.updates = updates;
    device.phase = "";
    Object.values(scalars).forEach(free);
    observed.free();
  }

  /**
   * Runs the backward pass, guard and optimizer of one group; returns its terms, which the caller frees.
   * Without a teacher's terms, tensors that these alone train have gradients of 0.
   */
  #update(
    { optimizer, guard }: Group,
    make: () => Terms,
    { lr, prefix, taught }: { lr: number; prefix: string; taught: boolean },
  ): Record<string, Tensor> {
    const { device } = this.#options;
    const scalars: Record<string, Tensor> = {};
    scope(() => {
      const measured = () => {
        const terms = make();
        const loss = total(terms);
        scalars[`${prefix}total`] = keep(loss); // read after the step, with the guard's numbers
        for (const [term, [weight, value]] of Object.entries(terms))
          if (weight !== 0) scalars[prefix + term] = keep(value);
        device.phase = "backward";
        return loss;
      };
      const { moving } = optimizer;
      const grads = taught
        ? grad(moving, measured, guard.seed).grads
        : partials(moving, measured, guard.seed);
      device.phase = "optimizer";
      optimizer.step(grads, lr, guard);
    });
    return scalars;
  }

  /** Measures each term's share of the gradient on these batches: see shares.ts. */
  shares(batches: Batches, place: StepPlace): Promise<Record<string, Record<string, number>>> {
    return this.#onDevice(batches, place, (uploaded) =>
      gradientShares(this.#options.device, this.#optionsOf(batches), uploaded, place, this.groups),
    );
  }

  /** Records the kernels of shares(), on a device that only plans or counts. */
  rehearseShares(batches: Batches, place: StepPlace): void {
    const { device } = this.#options;
    this.#onDevice(batches, place, (uploaded) => {
      const norms = recordShares(device, this.#optionsOf(batches), uploaded, place, this.groups);
      norms.forEach(({ value }) => free(value));
    });
  }

  /** Frees the optimizers' states and the method's own tensors. The networks stay. */
  free(): void {
    for (const group of this.groups.values()) group.free();
    this.own.free();
  }

  /** A step's options: on cases that lack a contrast of a teacher, its terms do not count. */
  #optionsOf(batches: Batches): StepOptions {
    if (!untaught(batches, this.members)) return this.#stepOptions;
    const { method, run } = this.#options;
    return { ...this.#stepOptions, settings: withoutTeacher(method, run.settings) };
  }

  #onDevice<T>(
    batches: Batches,
    { number }: StepPlace,
    use: (uploaded: Record<string, UploadedBatch>) => T,
  ): T {
    const { device, run, patch, seed, dropWeights } = this.#options;
    const { modalities } = run;
    const uploaded = Object.fromEntries(
      Object.entries(batches).map(([name, batch], stream) => {
        const parts = this.#parts.get(name) ?? new Set();
        this.#parts.set(name, parts);
        const draw = (sample: number, there: readonly string[]) =>
          drawSubset(streamAt(seed, SUBSET, stream, number, sample), there, dropWeights);
        return [name, new UploadedBatch(device, batch, { patch, modalities, parts, draw })];
      }),
    );
    try {
      return use(uploaded);
    } finally {
      Object.values(uploaded).forEach((batch) => batch.free());
    }
  }
}
