// The table of files: each file's case and content, which the user can correct.

import { CONVENTION_NAMES, type LabelConvention } from "../../data/datasets/labels.ts";
import { DataError } from "../../data/errors.ts";
import { baseName, MODALITIES, type Modality } from "../../data/datasets/source.ts";
import { choice, element } from "../ui/dom.ts";
import { titlesOf } from "./modelList.ts";
import { seenOf } from "./seen.ts";
import type { ModelInfo, Recognised, Role, Row } from "../worker/protocol.ts";

const ROLES: readonly (readonly [Role, string])[] = [
  ["t1", "T1"],
  ["t2", "T2"],
  ["t1ce", "T1ce (contrast)"],
  ["flair", "FLAIR"],
  ["label", "label"],
  ["unused", "not used"],
];
const CONVENTION_TITLES: Record<LabelConvention, string> = {
  brats: "BraTS to 2021: 1 core, 2 oedema, 4 enhancing",
  brats2023: "BraTS 2023: 1 core, 2 oedema, 3 enhancing",
  "brats2024-gli": "BraTS 2024 GLI: 1 core, 2 oedema, 3 enhancing, 4 cavity",
  "brats2024-ped": "BraTS 2024 PED: 1 enhancing, 2 core, 3 cyst, 4 oedema",
  msd: "Decathlon: 1 oedema, 2 core, 3 enhancing",
};
const SHOWN = 200; // rows: the others are used, but not listed

/** Shows `recognised` in `place`; applies the user's changes to it and calls `changed` after each. */
export function showCases(place: HTMLElement, recognised: Recognised, changed: () => void): void {
  const { rows, note } = recognised;
  const cases = casesIn(rows);
  const line = (row: Row) => {
    const role = choice(`Content of ${row.path}`, ROLES, row.role, (value) => {
      row.role = value;
      changed();
    });
    const id = element("input", {
      value: row.case,
      "aria-label": `Case of ${row.path}`,
      change: (event) => {
        row.case = (event.target as HTMLInputElement).value.trim() || "case";
        changed();
      },
    });
    const name = baseName(row.path) + (row.channel ? ` [${row.channel}]` : "");
    return element(
      "tr",
      {},
      element("td", { class: "path", title: row.path }, name),
      element("td", {}, id),
      element("td", {}, role),
    );
  };
  const head = ["File", "Case", "Content"].map((text) => element("th", { scope: "col" }, text));
  const files = element("table", { class: "files" });
  files.append(
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...rows.slice(0, SHOWN).map(line)),
  );
  const plural = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const summary = `${plural(cases.length, "case")}, ${plural(new Set(rows.map(({ path }) => path)).size, "file")}`;
  const details = element("details", { open: note !== null });
  details.append(element("summary", {}, summary), element("div", { class: "scroll" }, files));
  if (rows.length > SHOWN) details.append(element("p", {}, `and ${rows.length - SHOWN} more`));
  const convention = element("label", {}, "Meaning of the labels ");
  const known = CONVENTION_NAMES.map((name) => [name, CONVENTION_TITLES[name]] as const);
  const options = recognised.convention ? known : [["", "choose one"] as const, ...known];
  convention.append(
    choice("Meaning of the labels", options, recognised.convention ?? "", (value) => {
      recognised.convention = value || null;
      changed();
    }),
  );
  place.replaceChildren(
    ...(note === null ? [] : [element("p", { class: "note" }, note)]),
    details,
    convention,
  );
}

/** Case names, in order. */
export function casesIn(rows: readonly Row[]): string[] {
  return [...new Set(rows.filter(({ role }) => role !== "unused").map((row) => row.case))].sort();
}

/** The modalities of a case, in channel order. */
export function modalitiesOf(rows: readonly Row[], id: string): Modality[] {
  return MODALITIES.filter((modality) => rows.some((row) => row.case === id && row.role === modality));
}

/** Throws one DataError for all cases that lack what a chosen network needs. */
export function refuseMissing(
  rows: readonly Row[],
  chosen: readonly ModelInfo[],
  models: readonly ModelInfo[],
): void {
  const problems = casesIn(rows).flatMap((id) => {
    const present = modalitiesOf(rows, id);
    const [fitting] = models
      .map((model) => ({ name: model.name, seen: seenOf(model, present).length }))
      .filter(({ seen }) => seen)
      .sort((a, b) => b.seen - a.seen);
    const remedy = fitting ? `choose ${fitting.name}` : "open the checkpoint of a student of these";
    const known = chosen.filter(({ modalities }) => modalities.length); // use() asks what the others see
    return known.flatMap((model) => {
      if (seenOf(model, present).length) return [];
      const missing = titlesOf(model.modalities.filter((modality) => !present.includes(modality)));
      const needs = model.any ? `needs at least one of ${missing}` : `needs ${missing} too`;
      return [`case ${id}: has ${titlesOf(present) || "no image"}, but ${model.name} ${needs}: ${remedy}`];
    });
  });
  if (problems.length) throw new DataError(problems);
}
