// The label convention of predictions and references: predictions.json and the data set tell it, --labels
// must agree, and where nothing tells it the values in the files must leave only one.

import { basename } from "node:path";
import {
  CONVENTION_NAMES,
  fittingConventions,
  LABEL_CONVENTIONS,
  type LabelConvention,
  labelFlags,
} from "../../data/datasets/labels.ts";
import { someOf } from "../../data/datasets/source.ts";
import { DataError } from "../../data/errors.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { Predictions } from "./predictionFiles.ts";
import type { ToldConvention } from "./referenceFiles.ts";

/** A label convention, and its source in words. */
export interface Meaning {
  labels: LabelConvention;
  why: string;
  /** Set if --labels or predictions.json contradicts the names of the references' images. */
  warning: string | null;
}

/** The sources of a label convention. */
export interface Told {
  /** By --labels. */
  given: LabelConvention | undefined;
  /** By predictions.json, for each case. */
  predictions: Predictions["labels"];
  /** By the references' data set. */
  references: ToldConvention | null;
}

/**
 * Returns the convention that the sources agree on; null if none tells one. --labels overrules a convention
 * that only the names of images tell, as in training. Throws a UsageError that names both sources of a
 * contradiction.
 */
export function toldMeaning({ given, predictions, references }: Told): Meaning | null {
  const said: { labels: LabelConvention; why: string; remedy: string }[] = [];
  const again = "predict again with --labels, or evaluate only predictions of one convention";
  for (const [id, labels] of predictions)
    if (!said.some((one) => one.labels === labels))
      said.push({ labels, why: `predictions.json (case ${id})`, remedy: again });
  if (given) said.push({ labels: given, why: "--labels", remedy: "omit --labels, or correct the other" });
  const doubtful = references?.byNames && given !== undefined && !alike(given, references.value);
  if (references && !doubtful) {
    const remedy = references.byNames
      ? `if the names mislead, use --labels ${said[0]?.labels}`
      : "predict again with --labels, or correct dataset.json";
    said.push({ labels: references.value, why: `the references (${references.why})`, remedy });
  }
  const [first] = said;
  if (!first) return null;
  const widest = said.find((one) => said.every((other) => isPart(other.labels, one.labels)));
  if (!widest) {
    const other = said.find(({ labels }) => !alike(labels, first.labels)) ?? said.at(-1)!;
    throw new UsageError(
      `expected one label convention, got ${first.labels} by ${first.why} and ${other.labels} by ` +
        `${other.why}: ${other.remedy}`,
    );
  }
  const warning = doubtful
    ? `labels are read as ${given} by --labels, though the references tell ${references.value}: ${references.why}`
    : null;
  return { labels: widest.labels, why: said.map(({ why }) => why).join(" and "), warning };
}

/** True if all values of `one` mean the same in `other`: BraTS 2024's glioma data add a value to 2023's. */
function isPart(one: LabelConvention, other: LabelConvention): boolean {
  const table = LABEL_CONVENTIONS[other];
  return Object.entries(LABEL_CONVENTIONS[one]).every(([value, c]) => table[Number(value)] === c);
}

function alike(one: LabelConvention, other: LabelConvention): boolean {
  return isPart(one, other) || isPart(other, one);
}

/** Finds the only convention that has all values of several files. */
export class FittingConvention {
  /** The values, each with the first file that has it. */
  readonly #values = new Map<number, string>();
  readonly #names: string[] = [];

  /** Notes the values in a file. */
  add(path: string, values: Iterable<number>): void {
    this.#names.push(basename(path));
    for (const value of values) if (!this.#values.has(value)) this.#values.set(value, path);
  }

  /** Returns it. Throws a DataError if no convention fits, a UsageError if several do. */
  only(): Meaning {
    const found = [...this.#values.keys()].sort((a, b) => a - b);
    const values = someOf(
      found.map((value) => `${+value.toFixed(4)}`),
      8,
    );
    const fitting = fittingConventions(found, this.#names);
    const [only, ...more] = fitting;
    if (!only) {
      const reasons = CONVENTION_NAMES.flatMap((name) => {
        const strange = found.find((value) => !(value in LABEL_CONVENTIONS[name]));
        return strange === undefined
          ? []
          : [`not ${name}: ${this.#values.get(strange)} has ${+strange.toFixed(4)}`];
      });
      throw new DataError([`expected label maps of one convention, got the values ${values}`, ...reasons]);
    }
    if (!more.length) return { labels: only, why: `the only one with the values ${values}`, warning: null };
    throw new UsageError(
      "neither predictions.json nor the references tell the label convention, and several have the values " +
        `${values}: ${labelFlags(fitting)}`,
    );
  }
}
