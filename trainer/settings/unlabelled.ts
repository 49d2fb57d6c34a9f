// The settings of scans without labels: whether a stage has some, and what does not go with them.

import { methodOf, streamsOf, titleOf } from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { networkModalities, runOf } from "./config.ts";
import type { TrainConfig } from "./settings.ts";

/** The folder of scans without labels that a stage trains on; null for none, or at weight 0. */
export function unlabelledFolder(config: TrainConfig): string | null {
  const streams = streamsOf(methodOf(config.method), runOf(config, networkModalities(config)));
  return Object.values(streams).some((stream) => stream.unlabelled) ? config.unlabelled : null;
}

/** Throws a UsageError for a method that needs scans without labels, where no folder is given. */
export function checkUnlabelled({ method, unlabelled }: Pick<TrainConfig, "method" | "unlabelled">): void {
  if (unlabelled !== null || !methodOf(method).needsUnlabelled) return;
  throw new UsageError(
    `--method ${method}: ${titleOf(method)} need scans without labels: give their folder with --unlabelled`,
  );
}
