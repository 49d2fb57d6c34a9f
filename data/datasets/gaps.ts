// The contrasts that cases have and lack, by their files.

import { type Modality, MODALITIES, someOf } from "./source.ts";
import { put } from "../groups.ts";

/** A case with something for each contrast that it has. */
interface Imaged {
  id: string;
  images: Partial<Record<Modality, unknown>>;
}

/** Returns the contrasts that at least one of the cases has, in channel order. */
export function contrastsOf(cases: readonly Imaged[]): Modality[] {
  return MODALITIES.filter((modality) => cases.some(({ images }) => images[modality]));
}

/** Returns the cases that lack some of these contrasts: "2 lack t2 (A and B), 1 lacks t1 and t2 (C)". */
export function gapsOf(cases: readonly Imaged[], wanted: readonly Modality[]): string {
  const groups = new Map<string, string[]>();
  for (const { id, images } of cases) {
    const missing = wanted.filter((modality) => !images[modality]);
    if (missing.length) put(groups, listOf(missing), id);
  }
  return [...groups]
    .map(([missing, ids]) => `${ids.length} ${ids.length > 1 ? "lack" : "lacks"} ${missing} (${someOf(ids)})`)
    .join(", ");
}

/** Returns "t1, t2 and flair". */
export function listOf(modalities: readonly Modality[]): string {
  return someOf(modalities, MODALITIES.length);
}
