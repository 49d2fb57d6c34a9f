// The lists of the training's form, and the fields of its phantom.

import { MODALITY_TITLES, someOf } from "../../data/datasets/source.ts";
import { ALL_SUBSETS, ANY, contrastsIn, EACH, isAny, isEach } from "../../data/datasets/subsets.ts";
import { element } from "../ui/dom.ts";
import { select } from "./formFields.ts";
import type { Field, FormChoices } from "./trainProtocol.ts";

/** The fields of the built-in phantom. */
export const PHANTOM: readonly Field[] = [
  {
    name: "phantomCases",
    label: "Phantom cases",
    help: "cases of the built-in phantom",
    expected: "an integer from 2 to 200",
    kind: "number",
    value: 20,
    range: { min: 2, max: 200, step: 1 },
    pretrains: true,
  },
  {
    name: "phantomSize",
    label: "Phantom edge, voxels",
    help: "size of the built-in phantom's volumes",
    expected: "an integer from 16 to 192",
    kind: "number",
    value: 48,
    range: { min: 16, max: 192, step: 1 },
    pretrains: true,
  },
];
/** The form's lists, in its order. */
export function lists(choices: FormChoices): HTMLElement[] {
  return [
    select("data", "Data", [
      ["phantom", "built-in phantom"],
      ["files", "a folder of mine"],
    ]),
    select("stages", "Stages", [
      ["both", "teacher → student"],
      ["teacher", "teacher alone"],
      ["student", "student alone"],
      ["pretrain", "pretraining without labels"],
    ]),
    select(
      "modality",
      "The student sees",
      [...ALL_SUBSETS, ANY, EACH].map((seen) => [seen, seenTitle(seen)] as const),
    ),
    methodList(choices),
    select("teacher", "Its teacher", []),
    select("initEncoder", "Encoder to begin with", []),
    select("recipe", "Recipe", [
      ["paper", "the paper's"],
      ["nnunet", "nnU-Net's"],
    ]),
  ];
}

/** The list of methods; those that the page cannot train say why, and cannot be chosen. */
function methodList(choices: FormChoices): HTMLElement {
  const made = select(
    "method",
    "Method",
    choices.methods.map(([name, title]) => {
      const why = choices.elsewhere[name];
      if (why !== undefined) return [name, `${title}: ${why}, on the command line only`];
      return [name, name in choices.slow ? `${title} (slow)` : title];
    }),
  );
  for (const option of made.querySelectorAll("option")) {
    option.disabled = option.value in choices.elsewhere;
    option.title = choices.slow[option.value] ?? "";
  }
  return made;
}

/** "T1ce and FLAIR", or "whatever is there". */
function seenTitle(seen: string): string {
  if (seen === ANY) return "whatever is there (one network for all)";
  if (seen === EACH) return "each alone (UMMKD, UAGAN)";
  const titles = contrastsIn(seen).map((modality) => MODALITY_TITLES[modality]);
  return `${isAny(seen) ? "whatever is there of " : isEach(seen) ? "each alone of " : ""}${someOf(titles, titles.length)}`;
}

/** Offers a student that the list lacks: one of any of fewer contrasts than all four. */
export function offerStudent(list: HTMLSelectElement, seen: string): void {
  if (![...list.options].some(({ value }) => value === seen))
    list.append(element("option", { value: seen }, seenTitle(seen)));
}
