// The form with what is trained and how.

import { MODALITIES, type Modality } from "../../data/datasets/source.ts";
import { checkPatch } from "../../model/networks/patch.ts";
import type { Vec3 } from "../../model/scoring/regions.ts";
import { byId, element } from "../ui/dom.ts";
import type { FileSettings } from "./fileSettings.ts";
import { MODALITY_TITLES } from "../segment/modelList.ts";
import type { ModelInfo } from "../worker/protocol.ts";
import type { PhantomData, TrainSettings } from "./trainProtocol.ts";

/** What the form starts with: the phantom, in minutes on a small GPU. */
const NUMBERS = {
  phantomCases: ["Phantom cases", 20, 2, 200],
  phantomSize: ["Phantom edge, voxels", 48, 16, 192],
  epochs: ["Epochs", 18, 1, 10_000],
  batch: ["Batch", 2, 1, 64],
  filters: ["Filters", 8, 1, 64],
  levels: ["Levels", 4, 2, 6],
  lr: ["Learning rate", 0.003, 0, 1],
  validateEvery: ["Validate every … epochs", 3, 1, 10_000],
  seed: ["Seed", 0, 0, 2 ** 32 - 1],
} as const satisfies Record<string, readonly [label: string, value: number, min: number, max: number]>;
type NumberKey = keyof typeof NUMBERS;
const PATCH = { label: "Patch, voxels", value: "32", edges: [8, 256] } as const; // one edge, or D,H,W

const METHOD_TITLES: Readonly<Record<string, string>> = {
  none: "alone",
  protokd: "ProtoKD",
  kd: "pixel-wise distillation",
};
const PHANTOM_SEED = 1;

export type Form = { settings: TrainSettings; data: PhantomData | "files" };

/** What the form lets choose from. The names come from the worker: the page itself loads no engine. */
export interface Choices {
  models: readonly ModelInfo[];
  methods: readonly string[];
}

/** Shows the fields; `changed` is called when the data are. */
export function showForm({ models, methods }: Choices, changed: () => void): void {
  const select = (id: string, label: string, options: readonly (readonly [string, string])[]) =>
    element(
      "label",
      {},
      label,
      element("select", { id }, ...options.map(([value, name]) => element("option", { value }, name))),
    );
  const numbers = Object.entries(NUMBERS).map(([id, [label, value, min, max]]) => {
    const step = id === "lr" ? "any" : 1;
    return element(
      "label",
      {},
      label,
      element("input", { id, type: "number", value, min, max, step, required: true }),
    );
  });
  const title = "one edge, or depth, height and width with commas between";
  const patch = element("input", { id: "patch", type: "text", value: PATCH.value, title, required: true });
  byId("fields").replaceChildren(
    select("data", "Data", [
      ["phantom", "built-in phantom"],
      ["files", "a folder of mine"],
    ]),
    select("stages", "What", [
      ["both", "teacher → student"],
      ["teacher", "teacher alone"],
      ["student", "student alone"],
    ]),
    select(
      "modality",
      "The student sees",
      MODALITIES.map((m) => [m, MODALITY_TITLES[m]] as const),
    ),
    select(
      "method",
      "It learns with",
      methods.map((name) => [name, METHOD_TITLES[name] ?? name] as const),
    ),
    select("teacher", "Its teacher, if alone", []),
    element("label", {}, PATCH.label, patch),
    ...numbers,
  );
  showTeachers(models);
  byId<HTMLSelectElement>("modality").value = "t1ce";
  byId<HTMLSelectElement>("method").value = "protokd";
  byId("data").addEventListener("change", changed);
}

/** Offers the networks that can teach; the one that was chosen stays it. */
export function showTeachers(models: readonly ModelInfo[]): void {
  const select = byId<HTMLSelectElement>("teacher");
  const chosen = select.value;
  const teachers = models.filter(({ modalities }) => modalities.length > 1);
  select.replaceChildren(...teachers.map(({ id, name }) => element("option", { value: id }, name)));
  if (teachers.some(({ id }) => id === chosen)) select.value = chosen;
}

/** Puts settings into the form's fields. */
export function fillForm({ patch, ...settings }: Partial<TrainSettings>): void {
  for (const [id, value] of Object.entries(settings)) {
    if (value !== null) byId<HTMLInputElement | HTMLSelectElement>(id).value = String(value);
  }
  if (patch) {
    const cube = patch.every((edge) => edge === patch[0]);
    byId<HTMLInputElement>("patch").value = cube ? String(patch[0]) : patch.join();
  }
}

/** The fields that a file's settings fill; a teacher's leave a student after it as it is. */
export function fieldsOf({ stage, modality, method, ...shared }: FileSettings): Partial<TrainSettings> {
  const { value } = byId<HTMLSelectElement>("stages");
  if (stage === "teacher") return { ...shared, stages: value === "both" ? "both" : "teacher" };
  return { ...shared, stages: "student", modality: modality!, method };
}

/** What the form says. Throws an Error that names a field that does not fit. */
export function readForm(): Form {
  const text = (id: string) => byId<HTMLSelectElement>(id).value;
  const number = (id: NumberKey) => {
    const [label, , min, max] = NUMBERS[id];
    const { valueAsNumber: value } = byId<HTMLInputElement>(id);
    const whole = id === "lr" || Number.isInteger(value);
    if (whole && value >= min && value <= max && (id !== "lr" || value > 0)) return value;
    throw formError(`${label}: expected ${id === "lr" ? "a" : "a whole"} number from ${min} to ${max}`);
  };
  const settings: TrainSettings = {
    stages: text("stages") as TrainSettings["stages"],
    modality: text("modality") as Modality,
    method: text("method"),
    teacher: text("stages") === "student" ? text("teacher") || null : null,
    ...{ epochs: number("epochs"), batch: number("batch"), patch: readPatch() },
    ...{ filters: number("filters"), levels: number("levels"), lr: number("lr"), seed: number("seed") },
    validateEvery: number("validateEvery"),
  };
  try {
    checkPatch(settings.patch, settings.levels);
  } catch (error) {
    throw formError((error as Error).message);
  }
  if (text("data") === "files") return { settings, data: "files" };
  const phantom = { cases: number("phantomCases"), size: number("phantomSize"), seed: PHANTOM_SEED };
  return { settings, data: { kind: "phantom", ...phantom } };
}

/** D, H, W. */
function readPatch(): Vec3 {
  const [least, most] = PATCH.edges;
  const parts = byId<HTMLInputElement>("patch").value.split(/[,x]/).map(Number);
  const [depth, height = depth, width = depth] = parts;
  const fits = parts.every((edge) => Number.isInteger(edge) && edge >= least && edge <= most);
  if (fits && (parts.length === 1 || parts.length === 3)) return [depth!, height!, width!];
  throw formError(
    `${PATCH.label}: expected one edge, or depth, height and width, of ${least} to ${most} voxels`,
  );
}

function formError(message: string): Error {
  return Object.assign(new Error(message), { name: "DataError" });
}
