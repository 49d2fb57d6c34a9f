// A resumed training ends with the same bits as an uninterrupted one: parameters, moments, statistics, losses
// and scores, from every checkpoint event.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { forward, type Network } from "../../model/networks/network.ts";
import { free, tensor } from "../../engine/index.ts";
import { defaultSettings, type Method, METHODS } from "../../model/methods/index.ts";
import { Params } from "../../model/networks/params.ts";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import type { Scores, TrainBatch } from "../../trainer/loop/trainer.ts";
import {
  decodeTraining,
  encodeTraining,
  readTensors,
  restoreTensors,
  type TrainingState,
} from "../../trainer/loop/state.ts";
import { device } from "../support/gradcheck.ts";
import { batch, network, PATCH, student, type Trial, trainer, VOXELS } from "../support/training.ts";

interface Run {
  /** Every state at rest, as a file holds it. */
  files: Uint8Array[];
  last: TrainingState["tensors"];
  records: Omit<EpochRecord, "seconds" | "waited" | "gpuBytes">[];
  best: boolean[];
  end: string | null;
  skipped: string[];
}

const STEPS = 3;
const EPOCHS = 2;

/** Trains from a state, or from the beginning. With `stopAt` it is asked to stop at that event of a step. */
async function run(
  options: Trial & { norm?: "instance" | "batch"; poison?: number[]; stopAt?: number },
  from: Uint8Array | null = null,
): Promise<Run> {
  const { norm = "instance", poison = [], stopAt = 0, ...rest } = options;
  const state = from && (await decodeTraining(from, "state"));
  let drawn = (state?.data["paired"] as number | undefined) ?? 0;
  const next = (): Promise<TrainBatch> => {
    const made = batch(100 + 2 * drawn);
    if (poison.includes(++drawn)) made.images[VOXELS + 1] = NaN;
    return Promise.resolve(made);
  };
  const { config, precision = "f32" } = { ...network(1, 1, norm), ...rest.network };
  const isRestarted = rest.method === "amtml"; // the second phase draws the first weights again
  const params = new Params(device, { seed: state && !isRestarted ? 2 : 1 }); // the rest is the state's
  let clock = 0; // so slow that every step is read
  const made = trainer({
    now: () => (clock += 3000),
    epochs: EPOCHS,
    stepsPerEpoch: STEPS,
    validate: score,
    ...rest,
    next,
    data: () => drawn,
    network: { params, config, precision },
    ...(state && { position: state.position }),
  });
  if (state) restoreTensors(made.learner, state, "state");
  const result: Run = { files: [], last: {}, records: [], best: [], end: null, skipped: [] };
  let steps = 0;
  for await (const event of made.run()) {
    if (event.type === "checkpoint") {
      const { position, data } = event;
      result.files.push(
        await encodeTraining({ tensors: await readTensors(made.learner), position, data }, {}),
      );
    } else if (event.type === "epoch") {
      const { seconds: _s, waited: _w, gpuBytes: _g, ...record } = event.record;
      result.records.push(record);
      result.best.push(event.best);
    } else if (event.type === "end") result.end = event.reason;
    else if (event.type === "skip") result.skipped.push(`${event.step} ${event.why} ${event.cases.join()}`);
    if ((event.type === "step" || event.type === "skip") && ++steps === stopAt) made.stop();
  }
  result.last = await readTensors(made.learner);
  made.free();
  params.free();
  return result;
}

/** A score that depends on the network: of its logits on one volume. */
async function score({ params, config }: Network): Promise<Scores> {
  const x = tensor(device, [1, 1, ...PATCH], batch(7).images.subarray(0, VOXELS));
  const { logits } = forward({ params, config }, x, { mode: "eval" });
  const values = await logits.read();
  [x, logits].forEach(free);
  const mean = Math.abs(values[0]!);
  return { WT: mean, TC: mean, ET: mean, mean };
}

const half = device.gpu.features.has("shader-f16");
if (!half) console.log("SKIPPED: resuming in half precision: this adapter has no shader-f16");
const CASES: Record<string, () => Parameters<typeof run>[0]> = {
  "alone, instance norm": () => ({}),
  "ProtoKD, batch norm": () => ({ ...student(), norm: "batch" }),
  "PMKL, with trained tensors of its own": () => ({
    method: "pmkl",
    teacher: network(3, 9, "batch"),
    settings: defaultSettings(METHODS.pmkl as Method),
  }),
  "single-stage Barlow Twins, two networks": () => ({
    method: "barlow",
    settings: defaultSettings(METHODS.barlow as Method),
  }),
  "AMTML-KD, two phases and observed weights": () => ({
    method: "amtml",
    teacher: network(3, 9, "batch"),
    settings: defaultSettings(METHODS.amtml as Method),
  }),
  "SGD, clipped, best by average": () => ({ optimizer: { optimizer: "sgd", clip: 0.5 }, bestBy: "ema" }),
  ...(half && {
    "half precision": () => ({
      network: { ...network(1), precision: "f16" as const },
      optimizer: { lr: 1e-3 },
    }),
  }),
};

for (const [name, options] of Object.entries(CASES)) {
  test(`${name}: from every checkpoint, to the same bits`, async () => {
    const whole = await run(options());
    const places = await Promise.all(
      whole.files.map(async (file) => place(await decodeTraining(file, "file"))),
    );
    assert.equal(places, ["1 0", "1 1", "1 2", "1 3", "2 0", "2 1", "2 2", "2 3", "3 0"]);
    assert.is(new Set(whole.records.map(({ validation }) => validation!.mean)).size, EPOCHS, "it learns");
    for (const [i, file] of whole.files.entries()) {
      const rest = await run(options(), file);
      assert.equal(rest.last, whole.last, `${places[i]}: tensors`);
      const over = i < 4 ? 0 : i < 8 ? 1 : 2; // epochs that were told before
      assert.equal(rest.records, whole.records.slice(over), `${places[i]}: records`);
      assert.equal(rest.best, whole.best.slice(over), `${places[i]}: best`);
    }
  });
}

const place = ({ position: { epoch, done } }: TrainingState) => `${epoch} ${done}`;

test("stopped and resumed again and again, it ends in the same bits, and says that it was asked to", async () => {
  const options = { ...student(), norm: "batch" as const };
  const whole = await run(options);
  let file: Uint8Array | null = null;
  const records: Run["records"] = [];
  for (let part = 0; part < EPOCHS * STEPS; part++) {
    const one = await run({ ...options, stopAt: 1 }, file);
    assert.is(one.end, "request");
    records.push(...one.records);
    file = one.files.at(-1)!;
  }
  const last = await run(options, file);
  assert.equal(last.last, whole.last);
  assert.equal([...records, ...last.records], whole.records);
});

test("a validation that was stopped is done again, with an equal result", async () => {
  const whole = await run({});
  let asked = 0;
  const stopped = await run({ validate: (net) => (++asked === 1 ? Promise.resolve(null) : score(net)) });
  assert.equal([stopped.end, stopped.records.length], ["request", 0]);
  const rest = await run({}, stopped.files.at(-1)!);
  assert.equal([rest.last, rest.records], [whole.last, whole.records]);
});

test("steps with NaN are skipped, reported with their cases, and counted over a stop", async () => {
  const options = { poison: [2, 3, 5], norm: "batch" as const, maxBadSteps: 3 };
  const whole = await run(options);
  assert.equal(whole.skipped, [
    "2 loss case 102,case 103",
    "3 loss case 104,case 105",
    "5 loss case 108,case 109",
  ]);
  assert.equal(
    whole.records.map(({ skipped }) => skipped),
    [2, 1],
  );
  const finite = Object.entries(whole.last).every(
    ([key, { data }]) => key === "optimizer.main/guard" || data.every(Number.isFinite),
  );
  assert.ok(finite, "neither parameters nor moments nor running statistics are spoilt");
  for (const file of [whole.files[2]!, whole.files[5]!]) {
    const rest = await run(options, file);
    assert.equal(rest.last, whole.last);
    assert.equal(rest.records, whole.records.slice(-rest.records.length));
  }
  const two = await run({ ...options, stopAt: 3 }); // two in a row, and a third after the stop
  await throws(
    run({ ...options, poison: [2, 3, 4] }, two.files.at(-1)!),
    /^step 4: loss not finite in 3 steps in a row/,
  );
});

test("an infinite voxel counts as well; one step may be the limit", async () => {
  await throws(run({ poison: [1], maxBadSteps: 1 }), /^step 1: loss not finite \(total NaN/);
});

test("when its time is up it ends within an epoch; with more time it ends with the same bits", async () => {
  const clock = () => {
    let now = 0;
    return () => (now += 3000);
  };
  const whole = await run({ now: clock() });
  const short = await run({ now: clock(), maxSeconds: 15 });
  const at = (await decodeTraining(short.files.at(-1)!, "short")).position;
  assert.is(short.end, "time");
  assert.ok(at.epoch === 1 && at.done > 0 && at.done < STEPS, `epoch ${at.epoch}, ${at.done} steps`);
  assert.equal(short.best, [true], "what there is, is the best");
  const again = await run({ now: clock(), maxSeconds: 15 }, short.files.at(-1)!);
  assert.equal([again.end, again.files.length, again.last], ["time", 0, short.last], "not a step more");
  const longer = await run({ now: clock(), maxSeconds: 1e6 }, short.files.at(-1)!);
  assert.equal([longer.last, longer.records, longer.best], [whole.last, whole.records, whole.best]);
});

test("patience ends it after so many validations without a better one, ties among them", async () => {
  const means = [0.2, 0.5, 0.5, 0.4, 0.6, 0.7];
  const ending = async (patience: number, from: Uint8Array | null = null, skip = 0) => {
    const left = means.slice(skip);
    const validate = (): Promise<Scores> => {
      const mean = left.shift()!;
      return Promise.resolve({ WT: mean, TC: mean, ET: mean, mean });
    };
    return run({ epochs: 6, validate, patience }, from);
  };
  const two = await ending(2);
  assert.equal([two.end, two.records.length, two.best], ["patience", 4, [true, true, true, false]]);
  const average = [0.2, 0.23, 0.257, 0.2713];
  for (const [i, record] of two.records.entries()) assert.ok(Math.abs(record.average! - average[i]!) < 1e-12);
  assert.equal([(await ending(3)).end, (await ending(3)).records.length], [null, 6]);
  const third = two.files.filter((_, i) => i === 12)[0]!; // before the fourth epoch
  assert.is((await ending(2, third, 3)).records.length, 1, "those before a stop count");
  assert.equal((await ending(2, two.files.at(-1)!)).records, [], "it stays ended");
});

test("a state of another network is refused, and NaN is never written", async () => {
  const { files } = await run({});
  const state = await decodeTraining(files[0]!, "a.safetensors");
  const other = trainer();
  const { "optimizer.main/guard": guard, ...without } = state.tensors;
  assert.ok(guard);
  assert.throws(
    () => restoreTensors(other.learner, { tensors: without }, "a.safetensors"),
    /^a.safetensors: of another training: expected optimizer.main\/guard \[6\], got none$/,
  );
  other.free();
  state.tensors["out_conv.bias"]!.data[1] = Infinity;
  await throws(encodeTraining(state, {}), /out_conv.bias holds NaN or infinity and is not saved/);
});

async function throws(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.match(String((error as Error | null)?.message), message);
}

test.run();
