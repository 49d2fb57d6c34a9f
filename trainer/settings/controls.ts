// The setting of controls, and the settings that do not go with it.

import { frozenStages, methodOf, TEACHER, titleOf } from "../../model/methods/index.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { networkContrasts, networkModalities, runOf, stageName } from "./config.ts";
import type { TrainConfig } from "./settings.ts";

/** Throws a UsageError for a control that does not go with the method or the batches. */
export function checkControl(config: TrainConfig): void {
  const { stage, method, control, batch, lastBatch, teacher } = config;
  if (control === "none") return;
  const refuse = (why: string): never => {
    throw new UsageError(`--control ${control}: ${why}`);
  };
  if (stage !== "student") refuse("goes with --stage student, for other stages learn from no network");
  const stages = frozenStages(methodOf(method), runOf(config, networkModalities(config)));
  if (!stages.length)
    refuse(
      `changes networks that were trained before, and ${titleOf(method)} with these settings learns from no such ` +
        "network: choose a method with a teacher, such as kd",
    );
  if (control === "shuffled" && batch < 2)
    refuse("gives each sample of a batch what the teacher says of another: use --batch 2 or more");
  if (control === "shuffled" && lastBatch === "short")
    refuse("with --last-batch short a batch may hold one sample alone: use --last-batch full");
  if (control !== "twin") return;
  if (stages.some((one) => one !== TEACHER))
    refuse(`replaces a teacher, and ${titleOf(method)} learns from several networks: choose another method`);
  if (teacher === null)
    refuse(
      `needs a teacher that sees ${subsetName(networkModalities(config))} alone: train it with ` +
        `--method none --modality ${config.modality} and another --seed in another --out, and give its ` +
        "checkpoint with --teacher",
    );
}

/** A network as far as its file's card describes it. */
interface Described {
  modalities: readonly string[];
  any?: true | undefined;
  stage: string;
  seed: number;
}

/**
 * Calls `refuse` with the reason unless a teacher is a twin of the student: a network of the same contrasts
 * that learned from labels alone, and was drawn from another seed.
 */
export function checkTwin(twin: Described | null, config: TrainConfig, refuse: (why: string) => never): void {
  const { modalities, any } = networkContrasts(config);
  const wanted = `--control twin expects a network that sees ${any ? "any of " : ""}${modalities.join(", ")} alone`;
  if (!twin) return refuse(`${wanted}, and this file does not say what it sees`);
  if (twin.modalities.join() !== modalities.join() || twin.any !== any)
    refuse(`${wanted}, got one of ${twin.any ? "any of " : ""}${twin.modalities.join(", ")}`);
  const plain = stageName({ stage: "student", method: "none", modality: config.modality });
  if (twin.stage !== plain)
    refuse(`--control twin expects a student that learned from labels alone (${plain}), got ${twin.stage}`);
  if (twin.seed === config.seed)
    refuse(
      `was drawn from the seed ${twin.seed}, as this student is: with --control twin give one of another --seed`,
    );
}
