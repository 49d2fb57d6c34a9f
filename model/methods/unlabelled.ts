// Scans without labels, which a method's teacher explains: a stream of its own beside the labelled batch.

import { choice, number, optional, path } from "../settings/kinds.ts";
import { row } from "../settings/rows.ts";
import type { DeviceBatch, Stream } from "./method.ts";

export const unlabelled = row(optional(path("folder")), {
  help: "scans without labels, with every contrast of student and teacher: the teacher's terms count there, too",
  default: null,
  defaultHelp: "none",
});

export const unlabelledWeight = row(number(), {
  help: "weight of the terms on the scans of --unlabelled; with 0 they are not used",
  default: 1,
  teaches: true,
});

export const prototypes = row(choice(["label", "teacher"], "whose"), {
  help:
    "classes of the prototypes on labelled scans: the label's, or the teacher's prediction, which it is on those of " +
    "--unlabelled in any case",
  default: "label",
});

/** The settings that say whether a run has scans without labels. */
export interface Unlabelled {
  unlabelled: string | null;
  unlabelledWeight: number;
}

/** The streams of a method that can take scans without labels. */
export function besideLabelled({
  settings,
}: {
  settings: Unlabelled;
}): Record<"paired" | "unlabelled", Stream> {
  const streams: Record<string, Stream> = {
    paired: {},
    ...(settings.unlabelled && settings.unlabelledWeight !== 0 && { unlabelled: { unlabelled: true } }),
  };
  return streams as Record<"paired" | "unlabelled", Stream>; // a step asks for it where it is there
}

/** The batch of scans without labels in a step, where there is one and its terms count. */
export function unlabelledIn(
  batch: Readonly<Partial<Record<"unlabelled", DeviceBatch>>>,
  { unlabelledWeight }: Unlabelled,
): DeviceBatch | null {
  return (unlabelledWeight !== 0 && batch.unlabelled) || null;
}
