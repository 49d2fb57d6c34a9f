// The form of a training's settings. Its fields and methods come from the worker, for the page itself loads
// no engine.

import { contrastsIn, isAny, isEach } from "../../data/datasets/subsets.ts";
import type { FileSettings } from "../../trainer/settings/check.ts";
import type { Recipe } from "../../trainer/settings/settings.ts";
import { byId, element } from "../ui/dom.ts";
import { fieldElement, formError, setValue, valueOf } from "./formFields.ts";
import { lists, offerStudent, PHANTOM } from "./formLists.ts";
import type { ModelInfo } from "../worker/protocol.ts";
import type { FormChoices, PhantomData, TrainSettings } from "./trainProtocol.ts";

const PHANTOM_SEED = 1;
const STUDENT = "t1ce";
const ITSELF = "self"; // the teacher of a network that teaches itself

export interface Form {
  settings: TrainSettings;
  data: PhantomData | "files";
}

let choices: FormChoices;
let known: readonly ModelInfo[] = [];
let isEncoderKept = false;
let isStudentGiven = false; // by the user or a file: else a method chooses
let wasPretraining = false; // when the user or a file chose the stages last
let isBothWanted = false; // where a method without a teacher has put a student alone in its place

/** Shows the fields; `changed` is called when the data are. */
export function showForm(given: FormChoices, models: readonly ModelInfo[], changed: () => void): void {
  choices = given;
  const fields = [...PHANTOM, ...choices.fields].map(fieldElement);
  byId("fields").replaceChildren(...lists(choices), ...fields);
  byId<HTMLSelectElement>("modality").value = STUDENT;
  byId<HTMLSelectElement>("method").value = choices.defaultMethod;
  showTeachers(models);
  byId("stages").addEventListener("change", () => {
    isBothWanted = false;
    const { isPretraining } = chosen();
    if (isPretraining !== wasPretraining) showRecipe();
    wasPretraining = isPretraining;
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

/** The form's choice of contrasts, method and stages. */
interface Chosen {
  seen: string;
  /** The list's; in a pretraining, which has no list, its own. */
  method: string;
  stages: TrainSettings["stages"];
  isPretraining: boolean;
  /** Tells whether the list's method needs a network that was trained before. */
  isTaught: boolean;
}

function chosen(): Chosen {
  const value = (id: string) => byId<HTMLSelectElement>(id).value;
  const listed = value("method");
  const stages = value("stages") as TrainSettings["stages"];
  const isTaught = choices.taught.some((one) => {
    return one.method === listed && (one.field === undefined || value(one.field) === one.value);
  });
  const isPretraining = stages === "pretrain";
  const method = isPretraining ? choices.pretraining : listed;
  return { seen: value("modality"), method, stages, isPretraining, isTaught };
}

/** The chosen method's own defaults. */
function methodDefaults(): Readonly<Record<string, unknown>> {
  return choices.defaults[chosen().method] ?? {};
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

/** Sets the fields that recipes differ in to the chosen one's values, or to those of a pretraining. */
function showRecipe(): void {
  const own = chosen().isPretraining ? methodDefaults() : recipe();
  for (const { name, value } of choices.fields)
    if (name in choices.recipes.nnunet) setValue(name, own[name] ?? value);
}

/** The settings that the chosen recipe stands for; none in a pretraining, which has its own. */
function recipe(): Readonly<Record<string, unknown>> {
  if (chosen().isPretraining) return {};
  return choices.recipes[byId<HTMLSelectElement>("recipe").value as Recipe];
}

/** Offers a teacher's stage before the student where the method needs one; else the student stands alone. */
function fitStages(): void {
  const list = byId<HTMLSelectElement>("stages");
  const { stages, isPretraining, isTaught } = chosen();
  list.querySelector<HTMLOptionElement>("[value=both]")!.disabled = !isTaught;
  if (isPretraining) fitContrasts();
  if (stages === "both" && !isTaught) [list.value, isBothWanted] = ["student", true];
  else if (isBothWanted && isTaught) [list.value, isBothWanted] = ["both", false];
}

/** Chooses contrasts for a pretraining, which sees the same ones of every case. */
function fitContrasts(): void {
  const { seen } = chosen();
  if (isAny(seen) || isEach(seen)) byId<HTMLSelectElement>("modality").value = STUDENT;
}

/** Shows the fields that the chosen stages, contrasts and method use. */
function showUsed(): void {
  fitStages();
  const { seen, method, stages, isPretraining, isTaught } = chosen();
  const label = (name: string) => byId(name).closest("label")!;
  const show = (name: string, used: boolean) => (label(name).hidden = !used);
  label("modality").firstChild!.textContent = isPretraining ? "The encoder sees" : "The student sees";
  for (const option of byId<HTMLSelectElement>("modality").options)
    option.disabled = isPretraining && (isAny(option.value) || isEach(option.value));
  for (const { name, methods, pretrains } of choices.fields)
    show(name, isPretraining ? pretrains : !methods || (stages !== "teacher" && methods.includes(method)));
  for (const name of ["method", "recipe"]) show(name, !isPretraining);
  show("initEncoder", isEncoderKept && !isPretraining && !(stages !== "teacher" && isEach(seen)));
  show("teacher", stages === "student" && isTaught);
  show("dropWeights", stages !== "teacher" && !isPretraining && isAny(seen));
}

/** Offers the kept encoder, by the name of its pretraining, or none. */
export function showEncoder(name: string | null): void {
  isEncoderKept = name !== null;
  const list = byId<HTMLSelectElement>("initEncoder");
  const before = list.value;
  const kept = name === null ? [] : [element("option", { value: name }, name)];
  list.replaceChildren(element("option", { value: "" }, "none"), ...kept);
  list.value = before === name ? before : "";
  showUsed();
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
  const { teacher, selfTaught, initEncoder, ...first } = settings; // the student decides the teachers
  if (settings.modality) offerStudent(byId("modality"), settings.modality);
  if (settings.modality) isStudentGiven = true;
  for (const [id, value] of Object.entries(first)) {
    const field = document.getElementById(id);
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement)) continue;
    if (value === null && field.type !== "text") continue;
    if (id === "method" && settings.stages === "pretrain") continue; // it has no list
    setValue(id, value);
  }
  if (initEncoder !== undefined) setValue("initEncoder", initEncoder);
  wasPretraining = chosen().isPretraining;
  showTeachers(known);
  const taughtBy = selfTaught ? ITSELF : teacher;
  if (taughtBy) byId<HTMLSelectElement>("teacher").value = taughtBy;
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
  const { teacher: _teacher, ...others } = shared;
  const rest = { ...others, initEncoder: null }; // the state in the file is trained already
  if (stage === "teacher") return { ...rest, stages: value === "both" ? "both" : "teacher" };
  if (stage === "pretrain") return { ...rest, stages: "pretrain", ...(modality && { modality }) };
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
    initEncoder: byId("initEncoder").closest("label")!.hidden ? null : text("initEncoder") || null,
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
