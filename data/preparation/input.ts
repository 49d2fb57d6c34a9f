// How a network's input was made, as its checkpoint's card says it.

import * as v from "valibot";
import { CLASS_NAMES, CONVENTION_NAMES, type LabelConvention } from "../datasets/labels.ts";
import type { Preparation } from "./preprocess.ts";
import { MODALITIES, type Modality } from "../datasets/source.ts";

/** What has to be known to make a network's input, and to write what it says. */
export interface Input extends Preparation {
  /** In channel order. */
  modalities: Modality[];
  /** Convention of the labels it was trained on: predictions use it unless told otherwise. */
  labels: LabelConvention;
}

/** Reads the part of a card that is about the input. */
export const INPUT = {
  schema: v.object({
    modalities: v.array(v.picklist(MODALITIES)),
    labels: v.picklist(CONVENTION_NAMES),
    background: v.picklist(["zero", "shifted"]),
    crop: v.optional(v.picklist(["brain", "published"]), "brain"),
    padding: v.optional(v.picklist(["background", "zero"]), "background"),
  }),
  classes: CLASS_NAMES,
} as const;

/** How the published ProtoKD code makes the input of its networks, whose files do not say it. */
export const PUBLISHED_INPUT = { background: "shifted", crop: "brain", padding: "zero" } as const;
