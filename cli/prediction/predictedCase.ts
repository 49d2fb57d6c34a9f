// One case through one candidate's networks: the mean of their probabilities, the likeliest classes, and the
// post-processing. predict.js and subsets.js share it, so that both write the same bytes.

import type { Case } from "../../data/preparation/preprocess.ts";
import { compile, type Device } from "../../engine/index.ts";
import { NO_POSTPROCESSING, postprocess } from "../../model/inference/postprocess.ts";
import { likeliest } from "../../model/inference/predict.ts";
import { initialise, type Network } from "../../model/networks/network.ts";
import { caseProbabilities, seenBy } from "../../trainer/stages/prediction.ts";
import { upload } from "../files/models.ts";
import { compiling } from "../terminal/progress.ts";
import { type Candidate, useWith } from "./candidates.ts";
import { type Load, type PlannedCase, preparationOf } from "./predictionPlan.ts";
import { Mean } from "./predictions.ts";

/** A predicted case in its source's whole grid [D,H,W]. */
export interface Predicted {
  /** The case as it was prepared for the candidate's first network. */
  first: Case;
  /** Mean probabilities [classes,D,H,W], before post-processing. */
  probabilities: Float32Array;
  /** Classes [D,H,W], after post-processing. */
  classes: Uint8Array;
  /** The number of windows that the networks predicted. */
  windows: number;
}

/** How to load and predict a case. */
export interface Predicting {
  load: Load;
  /** The distance of windows, as a share of the window. */
  step: number;
  /** Average over all eight reflections. */
  mirror: boolean;
  /** Called after each window with how many are done, and the number of all. */
  report: (done: number, all: number) => void;
}

/** Puts a candidate's networks on the device and compiles their kernels. */
export async function uploadAll(device: Device, { members }: Candidate): Promise<Network[]> {
  const networks: Network[] = [];
  for (const { model, use } of members) {
    const network = upload(device, model);
    networks.push(network);
    const needed = initialise(device, network, use.patch);
    if (needed.size) compiling(0, needed.size);
    for await (const done of compile(device, needed)) compiling(done, needed.size);
  }
  return networks;
}

/** Predicts one case with the networks of its candidate, which uploadAll() returned. */
export async function predictedCase(
  device: Device,
  { id, candidate, sees }: Pick<PlannedCase, "id" | "candidate" | "sees">,
  networks: readonly Network[],
  { load, step, mirror, report }: Predicting,
): Promise<Predicted> {
  const loaded = new Map<string, Case>();
  const mean = new Mean();
  let windows = 0;
  for (const [i, { use }] of candidate.members.entries()) {
    const own = useWith(use, sees);
    const key = preparationOf(own);
    const prepared = loaded.get(key) ?? (await load(id, own));
    loaded.set(key, prepared);
    const [network, before] = [networks[i]!, windows];
    const progress = (done: number, all: number) => {
      windows = before + done;
      report(windows, before + all * (networks.length - i));
    };
    const seen = seenBy(prepared, use);
    const found = await caseProbabilities(device, network, seen, { ...use, step, mirror }, progress);
    mean.add(found, network.config.classes, prepared);
  }
  const [first] = loaded.values();
  const probabilities = mean.probabilities();
  const classes = likeliest(probabilities, networks[0]!.config.classes);
  const rule = candidate.postprocessing ?? NO_POSTPROCESSING;
  return { first: first!, probabilities, classes: postprocess(classes, first!.source, rule), windows };
}
