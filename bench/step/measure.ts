// Measures whole training steps. The trainer names its phases on the device, and a listener there notes the
// time and the memory in use. The first step warms up and is reported separately. The last step has
// timestamps around every dispatch, which slow it down, so its duration is not counted.

import { type Device, type Precision, Profile, type ProfiledDispatch, Random } from "../../engine/index.ts";
import { MODALITIES } from "../../data/datasets/source.ts";
import {
  defaultSettings,
  type Method,
  type NetworkSpec,
  type Run,
  streamsOf,
} from "../../model/methods/index.ts";
import { channelCount, type Contrasts } from "../../model/networks/anyContrasts.ts";
import { VNET, type VnetConfig, vnetShapes } from "../../model/networks/layers.ts";
import { openMembers } from "../../trainer/loop/members.ts";
import { type TrainBatch, Trainer, TRAINING } from "../../trainer/loop/trainer.ts";
import { median } from "../stopwatch.ts";
import { networkValues, sizeOf } from "../values.ts";

export interface StepOptions {
  filters: number;
  levels: number;
  norm: VnetConfig["norm"];
  patch: readonly [number, number, number];
  batch: number;
  /** The precision of activations. */
  precision: Precision;
  /** Timed steps, after the first and before the profiled one. */
  steps: number;
  method: Method;
  /** The contrasts of the network: one contrast, all, or any of them. */
  sees: (typeof SEES)[number];
}

/** The choices of a network's contrasts. */
export const SEES = ["one", "all", "any"] as const;

/** A phase of JavaScript, in milliseconds of performance.now(). */
export interface Phase {
  name: string;
  begin: number;
  end: number;
}

export interface StepMeasurement {
  /** Seconds to make the network's parameters, and to compile its kernels. */
  setup: number;
  compile: number;
  pipelines: number;
  /** Seconds of the first step, in which a driver may still compile, and the median of the timed ones. */
  first: number;
  seconds: number;
  samplesPerSecond: number;
  /** Calls of kernels and submissions in a step. */
  calls: number;
  submissions: number;
  /** Milliseconds of JavaScript that record a step, and their share of the step. */
  recording: number;
  share: number;
  /** Bytes in use: the most, those when backward begins, and those between steps. */
  peakBytes: number;
  keptBytes: number;
  restingBytes: number;
  losses: Record<string, number>[];
  /** The profiled step, which has no dispatches if the adapter has no timestamps. */
  profiled: { phases: Phase[]; dispatches: ProfiledDispatch[]; seconds: number };
}

/** Trains a network on random patches. `report` gets a line about each step. */
export async function measureSteps(
  device: Device,
  options: StepOptions,
  report: (line: string) => void,
): Promise<StepMeasurement> {
  const { steps } = options;
  const begun = performance.now();
  const watch = new PhaseWatch(device);
  const trainer = trainerOf(device, options, () => watch.start());
  const setup = seconds(begun);
  const profile = device.gpu.features.has("timestamp-query") ? new Profile(device) : null;
  const losses: Record<string, number>[] = [];
  const times: number[] = [];
  const recordings: number[] = [];
  const counts = { calls: device.dispatches, submissions: device.submissions };
  let [compile, calls, submissions, restingBytes] = [0, 0, 0, 0];
  let last = performance.now();
  for await (const event of trainer.run()) {
    if (event.type === "compile" && event.done === event.kernels) compile = seconds(last);
    if (event.type === "compile") last = event.done < event.kernels ? last : performance.now();
    if (event.type !== "step") continue;
    times.push(seconds(last));
    recordings.push(watch.milliseconds);
    losses.push(event.losses);
    report(`step ${event.step}: ${times.at(-1)!.toFixed(2)} s, loss ${event.losses["total"]!.toFixed(4)}`);
    [calls, submissions] = [device.dispatches - counts.calls, device.submissions - counts.submissions];
    Object.assign(counts, { calls: device.dispatches, submissions: device.submissions });
    restingBytes = device.bytes;
    if (event.step === steps + 1) {
      if (!profile) break;
      device.profile = profile;
    }
    last = performance.now();
  }
  device.profile = null;
  const timed = median(times.slice(1, steps + 1).sort((a, b) => a - b));
  const recording = median(recordings.slice(1, steps + 1).sort((a, b) => a - b));
  trainer.free();
  return {
    setup,
    compile,
    pipelines: device.pipelines.size,
    first: times[0]!,
    seconds: timed,
    samplesPerSecond: options.batch / timed,
    calls,
    submissions,
    recording,
    share: recording / 1000 / timed,
    peakBytes: device.peakBytes,
    keptBytes: watch.keptBytes,
    restingBytes,
    losses,
    profiled: {
      phases: watch.phases,
      dispatches: (await profile?.dispatches()) ?? [],
      seconds: times.at(-1)!,
    },
  };
}

/** Listens to the phases that a trainer names on its device. */
class PhaseWatch {
  /** The phases of the latest step. */
  phases: Phase[] = [];
  keptBytes = 0;

  constructor(device: Device) {
    device.listener.phase = (name) => {
      const now = performance.now();
      const open = this.phases.at(-1);
      if (open) open.end = now;
      if (name) this.phases.push({ name, begin: now, end: now });
      if (name === "backward") this.keptBytes = device.bytes;
    };
  }

  /** Begins a step, with the upload of its batch. */
  start(): void {
    const now = performance.now();
    this.phases = [{ name: "upload", begin: now, end: now }];
  }

  /** The milliseconds of all phases of the latest step. */
  get milliseconds(): number {
    return this.phases.length ? this.phases.at(-1)!.end - this.phases[0]!.begin : 0;
  }
}

/** A trainer whose epochs have one step each, so that it reads the loss of every step. */
function trainerOf(device: Device, options: StepOptions, begin: () => void): Trainer {
  const { filters, levels, norm, patch, batch, steps, precision, method, sees } = options;
  const spec = (seen: Contrasts): NetworkSpec => {
    const { modalities, any } = seen;
    const config = { ...VNET, modalities: channelCount(seen), filters, levels, norm };
    return { config, modalities, ...(any && { any }) };
  };
  const seen = sees === "one" ? MODALITIES.slice(0, 1) : MODALITIES;
  const run: Run = {
    settings: defaultSettings(method),
    network: spec({ modalities: seen, ...(sees === "any" && { any: true }) }),
    modalities: MODALITIES,
    optimizer: TRAINING,
  };
  const teacher = spec({ modalities: MODALITIES });
  const frozen = (stage: string) => {
    const isWhole = stage === "teacher";
    const own = isWhole ? teacher : spec({ modalities: stage.slice("student_".length).split("+") });
    return { spec: own, values: networkValues(vnetShapes(own.config)) };
  };
  const data = randomBatch(patch, batch);
  const source = {
    next: () => {
      begin();
      return data;
    },
  };
  const streams = Object.keys(streamsOf(method, run));
  return new Trainer({
    device,
    method,
    run,
    members: openMembers(device, method, run, { seed: 1, frozen, precision, lowMemory: false }),
    patch,
    epochs: steps + 2,
    stepsPerEpoch: 1,
    sources: Object.fromEntries(streams.map((name) => [name, source])),
    now: () => performance.now(),
  });
}

/** Noise of all modalities, and random labels. */
function randomBatch(patch: readonly number[], batch: number): TrainBatch {
  const random = new Random(1);
  const voxels = batch * sizeOf(patch);
  return {
    images: Float32Array.from({ length: MODALITIES.length * voxels }, () => random.next() - 0.5),
    label: Uint8Array.from({ length: voxels }, () => random.integer(VNET.classes)),
    cases: Array.from({ length: batch }, (_, i) => `random ${i}`),
  };
}

function seconds(since: number): number {
  return (performance.now() - since) / 1000;
}
