// The form of a training's settings. Its fields and methods come from the worker, for the page itself loads
// no engine.

import { someOf } from "../../data/datasets/source.ts";
import { ALL_SUBSETS, parseSubset } from "../../data/datasets/subsets.ts";
import type { FileSettings } from "../../trainer/settings/check.ts";
import type { Recipe } from "../../trainer/settings/settings.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { byId, element } from "../ui/dom.ts";
import { MODALITY_TITLES } from "../segment/modelList.ts";
import type { ModelInfo } from "../worker/protocol.ts";
import type { Field, FormChoices, PhantomData, TrainSettings } from "./trainProtocol.ts";

/** The fields of the built-in phantom. */
const PHANTOM: readonly Field[] = [
  {
    name: "phantomCases",
    label: "Phantom cases",
    help: "cases of the built-in phantom",
    expected: "an integer from 2 to 200",
    kind: "number",
    value: 20,
    range: { min: 2, max: 200, step: 1 },
  },
  {
    name: "phantomSize",
    label: "Phantom edge, voxels",
    help: "size of the built-in phantom's volumes",
    expected: "an integer from 16 to 192",
    kind: "number",
    value: 48,
    range: { min: 16, max: 192, step: 1 },
  },
];
const PHANTOM_SEED = 1;
const STUDENT = "t1ce";

export interface Form {
  settings: TrainSettings;
  data: PhantomData | "files";
}

let choices: FormChoices;
let known: readonly ModelInfo[] = [];

/** Shows the fields; `changed` is called when the data are. */
export function showForm(given: FormChoices, models: readonly ModelInfo[], changed: () => void): void {
  choices = given;
  byId("fields").replaceChildren(
    select("data", "Data", [
      ["phantom", "built-in phantom"],
      ["files", "a folder of mine"],
    ]),
    select("stages", "Stages", [
      ["both", "teacher → student"],
      ["teacher", "teacher alone"],
      ["student", "student alone"],
    ]),
    select(
      "modality",
      "The student sees",
      ALL_SUBSETS.map((subset) => [subset, subsetTitle(subset)] as const),
    ),
    select("method", "Method", choices.methods),
    select("teacher", "Its teacher, if alone", []),
    select("recipe", "Recipe", [
      ["paper", "the paper's"],
      ["nnunet", "nnU-Net's"],
    ]),
    ...[...PHANTOM, ...choices.fields].map(fieldElement),
  );
  byId<HTMLSelectElement>("modality").value = STUDENT;
  showTeachers(models);
  byId<HTMLSelectElement>("method").value = choices.defaultMethod;
  byId("stages").addEventListener("change", showUsed);
  byId("modality").addEventListener("change", () => showTeachers(known));
  byId("method").addEventListener("change", () => {
    showDefaults();
    showUsed();
  });
  byId("recipe").addEventListener("change", showRecipe);
  showUsed();
  byId("data").addEventListener("change", changed);
}

function select(
  id: string,
  label: string,
  options: readonly (readonly [value: string, name: string])[],
): HTMLElement {
  const items = options.map(([value, name]) => element("option", { value }, name));
  return element("label", {}, label, element("select", { id }, ...items));
}

/** "T1ce and FLAIR". */
function subsetTitle(subset: string): string {
  return someOf(
    parseSubset(subset).map((modality) => MODALITY_TITLES[modality]),
    4,
  );
}

/** A field with its label; the help is its tooltip. */
function fieldElement({ name, label, help, kind, value, choices: options = [], range }: Field): HTMLElement {
  if (kind === "choice") {
    const items = options.map((option) =>
      element("option", { value: option, selected: option === value }, option),
    );
    return element("label", {}, label, element("select", { id: name, title: help }, ...items));
  }
  const type = kind === "switch" ? "checkbox" : kind === "number" ? "number" : "text";
  const input = element("input", {
    id: name,
    title: help,
    type,
    required: kind === "number" || kind === "patch",
    value: kind === "switch" ? "on" : textOf(value),
    checked: kind === "switch" && value === true,
    min: range?.min ?? false,
    max: range?.max ?? false,
    step: range?.step ?? false,
  });
  return element("label", {}, label, input);
}

/** Sets the fields of methods to the chosen method's defaults. */
function showDefaults(): void {
  const own = choices.defaults[byId<HTMLSelectElement>("method").value] ?? {};
  for (const { name, methods, value } of choices.fields)
    if (methods) byId<HTMLInputElement>(name).value = textOf(own[name] ?? value);
}

/** Sets the fields that recipes differ in to the chosen one's values. */
function showRecipe(): void {
  const own = recipe();
  for (const { name, value } of choices.fields)
    if (name in choices.recipes.nnunet) byId<HTMLInputElement>(name).value = textOf(own[name] ?? value);
}

/** The settings that the chosen recipe stands for. */
function recipe(): Readonly<Record<string, unknown>> {
  return choices.recipes[byId<HTMLSelectElement>("recipe").value as Recipe];
}

/** Shows the fields that the chosen method uses. */
function showUsed(): void {
  const method = byId<HTMLSelectElement>("method").value;
  const alone = byId<HTMLSelectElement>("stages").value === "teacher";
  for (const { name, methods } of choices.fields)
    if (methods) byId(name).closest("label")!.hidden = alone || !methods.includes(method);
}

/** Offers the networks that see all that the student sees; the one that was chosen stays it. */
export function showTeachers(models: readonly ModelInfo[]): void {
  known = models;
  const list = byId<HTMLSelectElement>("teacher");
  const chosen = list.value;
  const seen = parseSubset(byId<HTMLSelectElement>("modality").value);
  const teachers = models.filter(
    ({ modalities }) => modalities.length > 1 && seen.every((one) => modalities.includes(one)),
  );
  list.replaceChildren(...teachers.map(({ id, name }) => element("option", { value: id }, name)));
  if (teachers.some(({ id }) => id === chosen)) list.value = chosen;
}

/** Puts settings into the form's fields; those without a field stay out. They show which recipe they are. */
export function fillForm(settings: Partial<TrainSettings>): void {
  const given = settings as Readonly<Record<string, unknown>>;
  const isNnunet = Object.entries(choices.recipes.nnunet).every(([name, value]) => given[name] === value);
  if (Object.keys(settings).length) byId<HTMLSelectElement>("recipe").value = isNnunet ? "nnunet" : "paper";
  const { teacher, ...first } = settings; // whose choices depend on the student's contrasts
  for (const [id, value] of Object.entries(first)) {
    const field = document.getElementById(id);
    if (value === null || !(field instanceof HTMLInputElement || field instanceof HTMLSelectElement))
      continue;
    if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === true;
    else field.value = textOf(value);
  }
  showTeachers(known);
  if (teacher) byId<HTMLSelectElement>("teacher").value = teacher;
  showUsed();
}

/** A value as text: [32, 32, 32] as one edge. */
function textOf(value: unknown): string {
  if (!Array.isArray(value)) return value === null || value === undefined ? "" : String(value);
  return value.every((edge) => edge === value[0]) ? String(value[0]) : value.join();
}

/** A file's settings as the form's; a teacher's leave a student after it as it is. */
export function settingsOf({
  stage,
  modality,
  method,
  parity: _,
  recipe: _recipe,
  ...shared
}: FileSettings): Partial<TrainSettings> {
  const { value } = byId<HTMLSelectElement>("stages");
  const { teacher: _teacher, ...rest } = shared;
  if (stage === "teacher") return { ...rest, stages: value === "both" ? "both" : "teacher" };
  return { ...rest, stages: "student", ...(modality && { modality }), ...(method && { method }) };
}

/**
 * The form's settings, over those of a file that it has no fields for. Throws an Error that names a field
 * that does not fit.
 */
export function readForm(file: Partial<TrainSettings> = {}): Form {
  const text = (id: string) => byId<HTMLSelectElement>(id).value;
  const values = Object.fromEntries(choices.fields.map((field) => [field.name, valueOf(field)]));
  const settings = {
    ...file,
    ...recipe(),
    ...values,
    stages: text("stages") as TrainSettings["stages"],
    modality: text("modality"),
    method: text("method"),
    teacher: text("stages") === "student" ? text("teacher") || null : null,
  } as TrainSettings;
  if (settings.deepSupervision && settings.levels! < 4) {
    throw formError(`Levels: expected at least 4 for nnU-Net's deep supervision, got ${settings.levels}`);
  }
  if (text("data") === "files") return { settings, data: "files" };
  const [cases, size] = PHANTOM.map(valueOf) as [number, number];
  return { settings, data: { kind: "phantom", cases, size, seed: PHANTOM_SEED } };
}

/** The value in a field; null for an empty text. */
function valueOf(field: Field): unknown {
  const input = byId<HTMLInputElement>(field.name);
  const refuse = (): never => {
    throw formError(`${field.label}: expected ${field.expected}, got ${input.value || "nothing"}`);
  };
  switch (field.kind) {
    case "choice":
      return input.value;
    case "switch":
      return input.checked;
    case "text":
      return input.value.trim() || null;
    case "patch":
      return patchOf(input.value) ?? refuse();
    case "number": {
      const { valueAsNumber: value } = input;
      const { min, max = Infinity, step } = field.range!;
      const fits = value >= min && value <= max && (step === "any" || Number.isInteger(value));
      return fits ? value : refuse();
    }
  }
}

/** "32" or "96,128,128" as [D, H, W]. */
function patchOf(text: string): Vec3 | null {
  const parts = text.split(/[,x]/).map(Number);
  if (![1, 3].includes(parts.length) || parts.some((edge) => !Number.isInteger(edge) || edge < 1))
    return null;
  const [depth, height = depth, width = depth] = parts as [number, number?, number?];
  return [depth, height, width];
}

function formError(message: string): Error {
  return Object.assign(new Error(message), { name: "DataError" });
}
