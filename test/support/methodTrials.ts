// Trainings of methods that a test declares itself.

import * as assert from "uvu/assert";
import { samples, stack, type Tensor } from "../../engine/index.ts";
import { type Method, type Runnable, type Step, METHODS } from "../../model/methods/index.ts";
import { segmentationTerms } from "../../model/losses/losses.ts";
import { type Params, type Values } from "../../model/networks/params.ts";
import { type FrozenNetwork, openMembers } from "../../trainer/loop/members.ts";
import { decodeTraining, encodeTraining, readTensors, restoreTensors } from "../../trainer/loop/state.ts";
import { type TrainEvent, Trainer, type TrainOptions } from "../../trainer/loop/trainer.ts";
import { device } from "./gradcheck.ts";
import { batch, initialise, network, type Trial, trained, trainOptions } from "./training.ts";

export interface MethodTrial extends Trial, Partial<Pick<TrainOptions, "sources">> {
  /** The frozen networks, by the names of their stages. */
  frozen?: (stage: string) => FrozenNetwork;
}

/**
 * Trains a declared method: its networks are drawn from seed 1, as network(1) is. `files` are the states of
 * all checkpoint events, `file` the last one.
 */
export async function run(
  declared: unknown,
  { sources, frozen, ...trial }: MethodTrial = {},
  from: Uint8Array | null = null,
) {
  const made = declared as Method;
  const options = trainOptions({ ...trial, method: METHODS.none as Method });
  const state = from && (await decodeTraining(from, "state"));
  const members = openMembers(device, made, options.run, {
    seed: 1,
    frozen: frozen ?? (() => ({ spec: options.run.network, values: frozenValues })),
    precision: "f32",
    lowMemory: false,
    control: options.control ?? "none",
  });
  const trainer = new Trainer({
    ...options,
    method: made,
    members,
    ...(state && { position: state.position }),
    ...(sources && { sources }),
  });
  if (state) restoreTensors(trainer.learner, state, "state");
  const seen: TrainEvent[] = [];
  const files: Uint8Array[] = [];
  for await (const event of trainer.run()) {
    seen.push(event);
    if (event.type !== "checkpoint") continue;
    const { position, data } = event;
    files.push(await encodeTraining({ tensors: await readTensors(trainer.learner), position, data }, {}));
  }
  const tensors = await readTensors(trainer.learner);
  trainer.free();
  for (const { params } of Object.values(members)) params.free();
  return { seen, tensors, files, file: files.at(-1)! };
}

/**
 * Trains two epochs of three steps in one go, and again from each state in the middle; throws unless all end
 * with the same bits.
 */
export async function checkResumes(declared: unknown, trial: MethodTrial): Promise<void> {
  let clock = 0; // so slow that every step is read, and each gives a state
  const resumable = (drawn: number): MethodTrial => ({
    ...trial,
    epochs: 2,
    stepsPerEpoch: 3,
    now: () => (clock += 3000),
    next: () => batch(100 + 2 * drawn++),
    data: () => drawn,
  });
  const { tensors, files } = await run(declared, resumable(0));
  assert.is(files.length, 9); // at the start, after each step, and after each epoch
  for (const file of [files[2]!, files[4]!, files[6]!]) {
    const { position, data } = await decodeTraining(file, "state");
    const again = await run(declared, resumable(data["paired"] as number), file);
    const where = `from epoch ${position.epoch}, step ${position.done}`;
    for (const [name, values] of Object.entries(tensors))
      assert.equal(numbers(again.tensors[name]), numbers(values), `${where}: ${name}`);
  }
}

/** A network that shows each sample what it computed of the sample before. */
export function rolled(network: Runnable): Runnable {
  const roll = (x: Tensor) => {
    const last = x.shape[0]! - 1;
    return stack([samples(x, last, last + 1), samples(x, 0, last)]);
  };
  return {
    ...network,
    run(input, how) {
      const { logits, taps, coarse } = network.run(input, how);
      const moved = Object.entries(taps).map(([name, [features]]) => [name, [roll(features!)]] as const);
      return { logits: roll(logits), taps: Object.fromEntries(moved), coarse };
    },
  };
}

/**
 * A method whose student sees other teachers; a teacher that the method trains runs as it is in its updates.
 */
export function taughtBy(method: Method, change: (teacher: Runnable, student: Runnable) => Runnable): Method {
  return {
    ...method,
    step(context) {
      const student = context.networks[method.deployed!]!;
      let updating = false;
      const shown = (teacher: Runnable): Runnable => {
        const changed = change(teacher, student);
        const run: Runnable["run"] = (...given) => (updating ? teacher : changed).run(...given);
        return { ...changed, run };
      };
      const networks = Object.entries(context.networks).map(
        ([name, one]) => [name, one === student ? one : shown(one)] as const,
      );
      method.step({
        ...context,
        networks: Object.fromEntries(networks),
        update: (group, terms) => {
          updating = true;
          context.update(group, terms);
          updating = false;
        },
      });
    },
  };
}

const frozenValues = await trained({ network: network(1, 9), stepsPerEpoch: 1 });

export const plain = ({ networks, batch: { paired }, update }: Step<string>, name: string, group: string) =>
  update(group, () => segmentationTerms(networks[name]!.run(paired).logits, paired.label));

export const numbers = (values: Values | undefined) => [...values!.data];

/** The same batch again and again. */
export function fixed() {
  const same = batch(1);
  return () => same;
}

/** The first weights of network(1), by a network of these parameters. */
export async function initialOf(params: Params): Promise<Record<string, Values>> {
  const { config } = network(1);
  initialise(device, { params, config }, [8, 8, 8]);
  return params.read();
}
