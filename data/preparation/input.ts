// The description of a network's input in its checkpoint's card.

import * as v from "valibot";
import { CLASS_NAMES, CONVENTION_NAMES, type LabelConvention } from "../datasets/labels.ts";
import type { Preparation } from "./preprocess.ts";
import { MODALITIES, type Modality } from "../datasets/source.ts";

/** The information needed to make a network's input and to write its predictions. */
export interface Input extends Preparation {
  /** In channel order. */
  modalities: Modality[];
  /** The convention of its training labels, and the default convention of its predictions. */
  labels: LabelConvention;
}

/** The schema of the part of a card that describes the input. */
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

/** The input of the published ProtoKD code's networks: their files do not describe it. */
export const PUBLISHED_INPUT = { background: "shifted", crop: "brain", padding: "zero" } as const;
