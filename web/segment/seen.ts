// The contrasts of a case that a network sees.

import type { Modality } from "../../data/datasets/source.ts";
import type { ModelInfo } from "../worker/protocol.ts";

/** Returns the contrasts that a network sees of a case with `there`; none where it cannot segment it. */
export function seenOf(
  { modalities, any }: Pick<ModelInfo, "modalities" | "any">,
  there: readonly Modality[],
): Modality[] {
  const found = modalities.filter((modality) => there.includes(modality));
  return any || found.length === modalities.length ? found : [];
}
