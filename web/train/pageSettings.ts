// The settings of a training in the page: those of the command line, by the same names, and which stages it
// has.

import * as v from "valibot";
import { CheckpointError } from "../../model/errors.ts";
import { DataError } from "../../data/errors.ts";
import {
  DEFAULT_PRETRAINING,
  methodOf,
  METHODS,
  PLAIN,
  PRETRAININGS,
  titleOf,
  usesStudents,
  usesTeacher,
} from "../../model/methods/index.ts";
import type { Setting } from "../../model/settings/rows.ts";
import { notedSettings } from "../../trainer/loop/state.ts";
import { checkSettings, type FileSettings, shown } from "../../trainer/settings/check.ts";
import { DEFAULTS, portable, stageName, type TrainConfig } from "../../trainer/settings/config.ts";
import { contrastsFor } from "../../trainer/settings/eachContrast.ts";
import { pretrainingUses } from "../../trainer/settings/pretraining.ts";
import { ROWS } from "../../trainer/settings/settings.ts";
import type { Field, FormChoices, TrainSettings } from "./trainProtocol.ts";

/** Settings that the page has no use for: it divides the cases by the folder's split.json alone. */
const REFUSED = ["split", "fold"] as const;

/** The fields of the form: every setting that has a label for the page. */
export function fields(): Field[] {
  return ROWS.flatMap(([name, row]) => (row.page ? [fieldOf(name, row, row.page)] : []));
}

/** The methods that learn from a network that was trained before, by default or by a setting's choice. */
export function taughtMethods(): FormChoices["taught"] {
  return Object.entries(METHODS).flatMap(([method, { settings }]) => {
    if (usesTeacher(method)) return [{ method }];
    return Object.entries(settings).flatMap(
      ([field, { choices = [] }]: [string, { choices?: readonly string[] }]) =>
        choices
          .filter((value) => usesTeacher(method, { [field]: value }))
          .map((value) => ({ method, field, value })),
    );
  });
}

function fieldOf(name: string, row: Setting, page: NonNullable<Setting["page"]>): Field {
  const { help, expected, choices, range, argument } = row;
  const methods = [...Object.values(METHODS), ...Object.values(PRETRAININGS)];
  const users = methods.filter(({ settings }) => name in settings);
  return {
    name,
    label: page.label,
    help,
    expected,
    kind: choices
      ? "choice"
      : argument === null
        ? "switch"
        : range
          ? "number"
          : argument === "d,h,w"
            ? "patch"
            : "text",
    value: page.value ?? row.phantom ?? row.default ?? null,
    ...(choices && { choices }),
    ...(range && { range }),
    ...(v.is(row.schema, null) && { optional: true }),
    ...(users.length && { methods: users.map((method) => method.name) }),
    pretrains: pretrainingUses(name),
  };
}

/**
 * The configuration of a stage. Throws a UsageError for contrasts that do not go with the method.
 */
export function configOf(stage: TrainConfig["stage"], settings: TrainSettings): TrainConfig {
  const { stages: _, teacher: _teacher, ...shared } = settings;
  const student = stage === "student";
  const begins = student || settings.stages === "teacher"; // with the encoder of a pretraining
  const method = { teacher: PLAIN, student: shared.method, pretrain: DEFAULT_PRETRAINING }[stage];
  return {
    ...DEFAULTS,
    workers: 0,
    data: "",
    out: "",
    ...(stage !== "teacher" && methodOf(method).defaults),
    ...shared,
    stage,
    modality: stage === "teacher" ? null : contrastsFor(method, shared.modality),
    teacherModality: stage === "teacher" ? (shared.teacherModality ?? null) : null,
    method,
    dropWeights: student ? (shared.dropWeights ?? null) : null,
    selfTaught: student && (shared.selfTaught ?? false),
    control: (student && shared.control) || "none",
    teacher: null,
    init: null,
    initEncoder: begins ? (shared.initEncoder ?? null) : null,
  };
}

/**
 * The configurations of the stages that the settings ask for, by the names of their folders on the command
 * line.
 */
export function stagesOf(settings: TrainSettings): Map<string, TrainConfig> {
  const { stages } = settings;
  const asked = stages === "both" ? (["teacher", "student"] as const) : [stages];
  return new Map(
    asked.map((stage) => configOf(stage, settings)).map((config) => [stageName(config), config]),
  );
}

/**
 * The settings in a training's metadata, `name` being the file's. Throws a CheckpointError for unknown
 * settings, and a DataError that names each one that the page cannot train with.
 */
export function settingsIn(metadata: Readonly<Record<string, string>>, name: string): FileSettings {
  const found = notedSettings(metadata, name);
  if (found === null) throw new CheckpointError(`${name}: holds no settings`);
  const { problems, ...checked } = checkSettings(found);
  const settings: FileSettings = portable(checked.settings);
  const { stage, modality = null } = settings;
  if (stage === undefined) problems.push("stage: expected teacher, student or pretrain, got none");
  if ((stage === "teacher") !== (modality === null))
    problems.push(`modality: a ${stage}'s cannot be ${modality}`);
  if (problems.length)
    throw new CheckpointError(`${name}: its settings are not known here: ${problems.join("; ")}`);
  if (settings.method !== undefined && usesStudents(settings.method, { ...settings }))
    throw new DataError(
      `${name}: was trained with ${titleOf(settings.method)}, which learns from several students of one run; this ` +
        "page keeps one. The command line can resume it (train --resume-from).",
    );
  if (settings.unlabelled !== undefined)
    throw new DataError(
      `${name}: was trained with the scans without labels ${shown(settings.unlabelled)}, and this page reads labelled ` +
        "cases alone. The command line can resume it (train --resume-from).",
    );
  if (settings.control === "twin")
    throw new DataError(
      `${name}: was trained with the control twin, whose teacher sees the student's contrasts alone; this page has no ` +
        "such teacher. The command line can resume it (train --resume-from).",
    );
  const others = REFUSED.filter((key) => settings[key] !== undefined);
  if (!others.length) return settings;
  const list = others.map((key) => `${key} ${shown(settings[key])}`).join(", ");
  throw new DataError(
    `${name}: was trained with ${list}, where this page knows a folder's split.json alone. ` +
      "The command line can resume it (train --resume-from).",
  );
}
