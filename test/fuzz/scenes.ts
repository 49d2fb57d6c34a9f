// The commands that crashes.ts disturbs: what each does, how it is resumed, and which files must be the same.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { command, folder, type Outcome, result, train } from "../support/killing.ts";

type Environment = Record<string, string>;

/** A command with state on the disk, in a folder of its own, named `run`. */
export interface Scene {
  /** Makes what the command needs. */
  prepare?: () => Promise<void>;
  start: (run: string, env?: Environment) => Promise<Outcome>;
  resume: (run: string) => Promise<Outcome>;
  /** All files' contents that two equal runs share. */
  result: (run: string) => unknown;
}

const SHORT = ["--epochs", "2", "--save-every", "1", "--validate-every", "1"];
const TEACHER = ["--stage", "teacher", ...SHORT];
const STUDENT = ["--stage", "student", ...SHORT];
const MODEL = "crashes model";

function trained(flags: string[], stages: readonly string[]): Scene {
  return {
    start: (run, env) => train(run, flags, env),
    resume: (run) => train(run, [...flags, "--resume"]),
    result: (run) => stages.map((stage) => result(run, stage)),
  };
}

function predict(run: string, more: string[], env?: Environment): Promise<Outcome> {
  const model = ["--model", join(folder, MODEL, "out"), "--input", join(folder, "data")];
  return command("predict", [...model, "--output", join(folder, run, "out"), ...more], env);
}

/** The names of a folder's files, and the bytes of the images among them. */
function images(run: string): unknown {
  const out = join(folder, run, "out");
  const names = readdirSync(out).filter((name) => statSync(join(out, name)).isFile());
  const bytes = names.filter((name) => name.endsWith(".gz")).map((name) => readFileSync(join(out, name)));
  return { names: names.sort(), bytes };
}

export const SCENES: Readonly<Record<string, Scene>> = {
  teacher: trained(TEACHER, ["teacher"]),
  student: trained(STUDENT, ["teacher", "student_t1ce_protokd"]),
  predict: {
    prepare: async () => {
      const { code, output } = await train(MODEL, TEACHER);
      if (code !== 0) throw new Error(output);
    },
    start: (run, env) => predict(run, [], env),
    resume: (run) => predict(run, ["--continue"]),
    result: images,
  },
};
