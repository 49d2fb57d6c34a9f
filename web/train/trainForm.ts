// The form of a training's settings. Its fields and methods come from the worker, for the page itself loads
// no engine.

import { someOf } from "../../data/datasets/source.ts";
import { ALL_SUBSETS, ANY, contrastsIn, EACH, isAny, isEach } from "../../data/datasets/subsets.ts";
import type { FileSettings } from "../../trainer/settings/check.ts";
import type { Recipe } from "../../trainer/settings/settings.ts";
import { byId, element } from "../ui/dom.ts";
import { MODALITY_TITLES } from "../segment/modelList.ts";
import { fieldElement, formError, select, setValue, valueOf } from "./formFields.ts";
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
const ITSELF = "self"; // the teacher of a network that teaches itself

export interface Form {
  settings: TrainSettings;
  data: PhantomData | "files";
}

let choices: FormChoices;
let known: readonly ModelInfo[] = [];
let isStudentGiven = false; // by the user or a file: else a method chooses
let isBothWanted = false; // where a method without a teacher has put a student alone in its place

/** Shows the fields; `changed` is called when the data are. */
export function showForm(given: FormChoices, models: readonly ModelInfo[], changed: () => void): void {
  choices = given;
  byId("fields").replaceChildren(
    select("data", "Data", [
      ["phantom", "built-in phantom"],
      ["files", "a folder of mine"],
    ]),
    stageList(),
    select(
      "modality",
      "The student sees",
      [...ALL_SUBSETS, ANY, EACH].map((seen) => [seen, seenTitle(seen)] as const),
    ),
    methodList(),
    select("teacher", "Its teacher", []),
    select("recipe", "Recipe", [
      ["paper", "the paper's"],
      ["nnunet", "nnU-Net's"],
    ]),
    ...[...PHANTOM, ...choices.fields].map(fieldElement),
  );
  byId<HTMLSelectElement>("modality").value = STUDENT;
  byId<HTMLSelectElement>("method").value = choices.defaultMethod;
  showTeachers(models);
  byId("stages").addEventListener("change", () => {
    isBothWanted = false;
    showUsed();
  });
  byId("modality").addEventListener("change", () => {
    isStudentGiven = true;
    showTeachers(known);
  });
  byId("method").addEventListener("change", () => {
    showDefaults();
    showTeachers(known);
  });
  for (const { field } of choices.taught) if (field) byId(field).addEventListener("change", showUsed);
  byId("recipe").addEventListener("change", showRecipe);
  byId("data").addEventListener("change", changed);
}

/** The stages; the list says where the one is that the page does not offer. */
function stageList(): HTMLElement {
  const made = select("stages", "Stages", [
    ["both", "teacher → student"],
    ["teacher", "teacher alone"],
    ["student", "student alone"],
    ["pretrain", "pretraining without labels: on the command line only"],
  ]);
  made.querySelector<HTMLOptionElement>("[value=pretrain]")!.disabled = true;
  return made;
}

/** The methods; one that the page cannot train tells why, and cannot be chosen. */
function methodList(): HTMLElement {
  const made = select(
    "method",
    "Method",
    choices.methods.map(([name, title]) => {
      const why = choices.elsewhere[name];
      return [name, why === undefined ? title : `${title}: ${why}, on the command line only`];
    }),
  );
  for (const option of made.querySelectorAll("option")) option.disabled = option.value in choices.elsewhere;
  return made;
}

/** "T1ce and FLAIR", or "whatever is there". */
function seenTitle(seen: string): string {
  if (seen === ANY) return "whatever is there (one network for all)";
  if (seen === EACH) return "each alone (UMMKD, UAGAN)";
  const titles = contrastsIn(seen).map((modality) => MODALITY_TITLES[modality]);
  return `${isAny(seen) ? "whatever is there of " : isEach(seen) ? "each alone of " : ""}${someOf(titles, titles.length)}`;
}

/** Returns the form's choice of student, method and stages. */
function chosen(): { seen: string; method: string; stages: TrainSettings["stages"]; isTaught: boolean } {
  const value = (id: string) => byId<HTMLSelectElement>(id).value;
  const [seen, method] = [value("modality"), value("method")];
  const stages = value("stages") as TrainSettings["stages"];
  const isTaught = choices.taught.some((one) => {
    return one.method === method && (one.field === undefined || value(one.field) === one.value);
  });
  return { seen, method, stages, isTaught };
}

/** The chosen method's own defaults. */
function methodDefaults(): Readonly<Record<string, unknown>> {
  return choices.defaults[byId<HTMLSelectElement>("method").value] ?? {};
}

/** Sets the fields of methods to the chosen method's defaults, and the student, unless one was given. */
function showDefaults(): void {
  const own = methodDefaults();
  if (!isStudentGiven) setValue("modality", own["modality"] ?? STUDENT);
  for (const { name, methods, value } of choices.fields) if (methods) setValue(name, own[name] ?? value);
}

/** The title of a method. */
function titleOf(method: string): string {
  return choices.methods.find(([name]) => name === method)?.[1] ?? method;
}

/** Sets the fields that recipes differ in to the chosen one's values. */
function showRecipe(): void {
  const own = recipe();
  for (const { name, value } of choices.fields)
    if (name in choices.recipes.nnunet) setValue(name, own[name] ?? value);
}

/** The settings that the chosen recipe stands for. */
function recipe(): Readonly<Record<string, unknown>> {
  return choices.recipes[byId<HTMLSelectElement>("recipe").value as Recipe];
}

/** Offers a teacher's stage before the student where the method needs one; else the student stands alone. */
function fitStages(): void {
  const list = byId<HTMLSelectElement>("stages");
  const { stages, isTaught } = chosen();
  list.querySelector<HTMLOptionElement>("[value=both]")!.disabled = !isTaught;
  if (stages === "both" && !isTaught) [list.value, isBothWanted] = ["student", true];
  else if (isBothWanted && isTaught) [list.value, isBothWanted] = ["both", false];
}

/** Shows the fields that the chosen stages, student and method use. */
function showUsed(): void {
  fitStages();
  const { seen, method, stages, isTaught } = chosen();
  const show = (name: string, used: boolean) => (byId(name).closest("label")!.hidden = !used);
  for (const { name, methods } of choices.fields)
    if (methods) show(name, stages !== "teacher" && methods.includes(method));
  show("teacher", stages === "student" && isTaught);
  show("dropWeights", stages !== "teacher" && isAny(seen));
}

/**
 * Offers the networks that see all that the student sees, and itself for one that takes any contrasts; the
 * one that was chosen stays it.
 */
export function showTeachers(models: readonly ModelInfo[]): void {
  known = models;
  const list = byId<HTMLSelectElement>("teacher");
  const before = list.value;
  const { seen } = chosen();
  const wanted = contrastsIn(seen);
  const teachers = models
    .filter(({ modalities }) => modalities.length > 1 && wanted.every((one) => modalities.includes(one)))
    .map(({ id, name }) => [id, name] as const);
  const offered = isAny(seen) ? [...teachers, [ITSELF, "itself"] as const] : teachers;
  list.replaceChildren(...offered.map(([value, name]) => element("option", { value }, name)));
  if (offered.some(([id]) => id === before)) list.value = before;
  showUsed();
}

/** Puts settings into the form's fields; those without a field stay out. They show which recipe they are. */
export function fillForm(settings: Partial<TrainSettings>): void {
  const given = settings as Readonly<Record<string, unknown>>;
  const isNnunet = Object.entries(choices.recipes.nnunet).every(([name, value]) => given[name] === value);
  if (Object.keys(settings).length) byId<HTMLSelectElement>("recipe").value = isNnunet ? "nnunet" : "paper";
  const { teacher, selfTaught, ...first } = settings; // the teachers on offer depend on the student
  if (settings.modality) offerStudent(settings.modality);
  if (settings.modality) isStudentGiven = true;
  for (const [id, value] of Object.entries(first)) {
    const field = document.getElementById(id);
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement)) continue;
    if (value === null && field.type !== "text") continue;
    setValue(id, value);
  }
  showTeachers(known);
  const taughtBy = selfTaught ? ITSELF : teacher;
  if (taughtBy) byId<HTMLSelectElement>("teacher").value = taughtBy;
}

/** Offers a student that the list lacks: one of any of fewer contrasts than all four. */
function offerStudent(seen: string): void {
  const list = byId<HTMLSelectElement>("modality");
  if (![...list.options].some(({ value }) => value === seen))
    list.append(element("option", { value: seen }, seenTitle(seen)));
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
  const { seen, method, stages, isTaught } = chosen();
  const taughtBy = stages === "student" && isTaught ? text("teacher") || null : null;
  const values = Object.fromEntries(choices.fields.map((field) => [field.name, valueOf(field)]));
  const settings = {
    ...file,
    ...recipe(),
    ...values,
    stages,
    modality: seen,
    method,
    dropWeights: isAny(seen) ? values["dropWeights"] : null,
    selfTaught: taughtBy === ITSELF,
    teacher: taughtBy === ITSELF ? null : taughtBy,
  } as TrainSettings;
  const isDeep = settings.deepSupervision ?? (stages !== "teacher" && methodDefaults()["deepSupervision"]);
  if (isDeep && settings.levels! < 4) {
    const whose = recipe()["deepSupervision"] ? "nnU-Net" : titleOf(method);
    throw formError(`Levels: expected at least 4 for ${whose}'s deep supervision, got ${settings.levels}`);
  }
  if (text("data") === "files") return { settings, data: "files" };
  const [cases, size] = PHANTOM.map(valueOf) as [number, number];
  return { settings, data: { kind: "phantom", cases, size, seed: PHANTOM_SEED } };
}
