// Trainings of methods that a test declares itself.

import { type Method, type Step, METHODS } from "../../model/methods/index.ts";
import { segmentationTerms } from "../../model/losses/losses.ts";
import { type Params, type Values } from "../../model/networks/params.ts";
import { openMembers } from "../../trainer/loop/members.ts";
import { decodeTraining, encodeTraining, readTensors, restoreTensors } from "../../trainer/loop/state.ts";
import { type TrainEvent, Trainer, type TrainOptions } from "../../trainer/loop/trainer.ts";
import { device } from "./gradcheck.ts";
import { batch, initialise, network, type Trial, trained, trainOptions } from "./training.ts";

/** Trains a declared method: its networks are drawn from seed 1, as network(1) is. */
export async function run(
  declared: unknown,
  { sources, ...trial }: Trial & Partial<Pick<TrainOptions, "sources">> = {},
  from: Uint8Array | null = null,
) {
  const made = declared as Method;
  const options = trainOptions({ ...trial, method: METHODS.none as Method });
  const state = from && (await decodeTraining(from, "state"));
  const members = openMembers(device, made, options.run, {
    seed: 1,
    frozen: () => ({ spec: options.run.network, values: frozenValues }),
    precision: "f32",
    lowMemory: false,
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
  let file: Uint8Array | null = null;
  for await (const event of trainer.run()) {
    seen.push(event);
    if (event.type !== "checkpoint") continue;
    const { position, data } = event;
    file = await encodeTraining({ tensors: await readTensors(trainer.learner), position, data }, {});
  }
  const tensors = await readTensors(trainer.learner);
  trainer.free();
  for (const { params } of Object.values(members)) params.free();
  return { seen, tensors, file: file! };
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
