// The description of a network's input in its checkpoint's card.

import * as v from "valibot";
import { CLASS_NAMES, CONVENTION_NAMES, type LabelConvention } from "../datasets/labels.ts";
import type { Vec3 } from "../nifti/geometry.ts";
import { isOrientation } from "../nifti/orientation.ts";
import type { Preparation } from "./preprocess.ts";
import { MODALITIES, type Modality } from "../datasets/source.ts";

/** The information needed to make a network's input and to write its predictions. */
export interface Input extends Preparation {
  /** In channel order. */
  modalities: Modality[];
  /** True for a network that takes any of them, with a plane for each that says whether it is there. */
  any?: true | undefined;
  /** True for a network that sees one of them at a time, with norms for each. */
  each?: true | undefined;
  /** The convention of its training labels, and the default convention of its predictions. */
  labels: LabelConvention;
  /** The grid of its training data; older cards lack it. */
  grid?: CommonGrid | undefined;
}

/** The grid that cases share: the orientation that all were turned to, and their median spacing. */
export interface CommonGrid {
  /** The directions of x, y and z: LPS and so on. */
  orientation: string;
  /** D, H, W in mm. */
  spacing: Vec3;
}

const mm = v.pipe(v.number(), v.gtValue(0));

/** The schema of the part of a card that describes the input. */
export const INPUT = {
  schema: v.object({
    modalities: v.array(v.picklist(MODALITIES)),
    any: v.exactOptional(v.literal(true)),
    each: v.exactOptional(v.literal(true)),
    labels: v.picklist(CONVENTION_NAMES),
    background: v.picklist(["zero", "shifted"]),
    crop: v.optional(v.picklist(["brain", "published"]), "brain"),
    padding: v.optional(v.picklist(["background", "zero"]), "background"),
    grid: v.exactOptional(
      v.object({ orientation: v.pipe(v.string(), v.check(isOrientation)), spacing: v.tuple([mm, mm, mm]) }),
    ),
  }),
  classes: CLASS_NAMES,
} as const;

/** The input of the published ProtoKD code's networks: their files do not describe it. */
export const PUBLISHED_INPUT = { background: "shifted", crop: "brain", padding: "zero" } as const;
