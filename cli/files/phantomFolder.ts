// Makes a phantom data set as a folder in BraTS layout, with its parameters in phantom.json. The folder is
// made under a temporary name and then renamed: a folder with phantom.json is complete, and a second call
// with the same parameters costs nothing. Only a folder with a phantom and nothing else is ever replaced.

import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { jsonOf } from "../../data/datasets/json.ts";
import { SPLIT_FILE } from "../../data/datasets/splits.ts";
import type { Vec3 } from "../../data/nifti/geometry.ts";
import type { Version } from "../../data/phantom/phantom.ts";
import { phantomFiles, phantomName, phantomSplit } from "../../data/phantom/files.ts";
import { exists } from "./files.ts";
import { UsageError } from "../../model/settings/errors.ts";
import { readFile } from "../terminal/userFile.ts";

export interface PhantomOptions {
  /** The folder; made with its parents. */
  out: string;
  cases: number;
  /** D, H, W in voxels, or one number for a cube. The box is 160 mm a side at every size. */
  size: number | Vec3;
  seed: number;
  /** The generator's version; default 1. */
  version?: Version;
  /** In version 2: label cases by raters, except those for testing (default), or all by their consensus. */
  raters?: boolean;
  /** Replace a phantom of other parameters instead of refusing. */
  overwrite?: boolean;
  /** Called with lines for the user. */
  report?: (line: string) => void;
}

/** phantom.json. */
type Parameters = {
  generator: "protokd phantom";
  version: number;
  seed: number;
  cases: number;
  size: Vec3;
  raters?: boolean; // from version 2 on
};

const whole = v.pipe(v.number(), v.safeInteger());
const ParametersSchema = v.object({
  generator: v.literal("protokd phantom"),
  version: whole,
  seed: whole,
  cases: whole,
  size: v.tuple([whole, whole, whole]),
  raters: v.exactOptional(v.boolean()),
});

const parametersFile = "phantom.json";
const pause = 5000; // ms between two lines on progress

/**
 * Makes `<out>/PHANTOM_001/PHANTOM_001_{t1,t2,t1ce,flair,seg}.nii.gz` and so on, labels in BraTS's
 * convention. Does nothing if `out` holds a set of the same parameters. Throws a UsageError if it holds
 * anything else.
 */
export async function makePhantom(options: PhantomOptions): Promise<void> {
  const { out, cases, seed, version = 1, raters = true, overwrite = false, report = () => {} } = options;
  if (!Number.isInteger(cases) || cases < 1 || cases > 9999) {
    throw new UsageError(`phantom: cases: expected an integer from 1 to 9999, got ${cases}`);
  }
  const size: Vec3 =
    typeof options.size === "number" ? [options.size, options.size, options.size] : options.size;
  const wanted: Parameters = { generator: "protokd phantom", version, seed, cases, size };
  if (version > 1) wanted.raters = raters;
  const found = await findPhantom(out);
  if (found !== undefined && describe(found) === describe(wanted)) {
    report(`${out} already holds ${describe(wanted)}`);
    return;
  }
  if (found !== undefined && !overwrite) {
    const others = ["choose another folder", "replace it with --overwrite"];
    if (found.version !== version) others.push(`ask for the version it has with --version ${found.version}`);
    const remedy = `${others.slice(0, -1).join(", ")}, or ${others.at(-1)}`;
    throw new UsageError(`${out}: expected ${describe(wanted)}, got ${describe(found)}; ${remedy}`);
  }
  if (found !== undefined) await refuseForeign(out, found);

  const target = resolve(out);
  const making = join(dirname(target), `.${basename(target)}.making-${randomBytes(6).toString("hex")}`);
  const started = performance.now();
  report(`making ${describe(wanted)} in ${out}`);
  try {
    await writeCases(making, wanted, report);
    const split = splitText(wanted);
    if (split !== null) await writeFile(join(making, SPLIT_FILE), split);
    await writeFile(join(making, parametersFile), textOf(wanted));
    if (found !== undefined) await rm(target, { recursive: true });
    else await removeEmpty(target);
    await rename(making, target);
  } catch (error) {
    // Another process may have made the same meanwhile: an array of jobs starts them all at once.
    const other = await findPhantom(out).catch(() => undefined);
    if (other === undefined || describe(other) !== describe(wanted)) throw error;
    report(`${out} already holds ${describe(wanted)}`);
    return;
  } finally {
    await rm(making, { recursive: true, force: true });
  }
  report(`made in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

/** Returns the version of the phantom in a folder; undefined where it holds none. Throws a UsageError. */
export async function phantomVersion(folder: string): Promise<number | undefined> {
  const path = join(folder, parametersFile);
  return (await exists(path)) ? readParameters(await readFile(path), path).version : undefined;
}

async function writeCases(folder: string, parameters: Parameters, report: (line: string) => void) {
  const { cases, version, ...others } = parameters;
  let reported = performance.now();
  for (let index = 0; index < cases; index++) {
    if (performance.now() - reported > pause) {
      report(`${index} of ${cases} cases`);
      reported = performance.now();
    }
    await mkdir(join(folder, phantomName(index)), { recursive: true });
    const files = await phantomFiles({ ...others, version: version as Version, index });
    await Promise.all([...files].map(([path, bytes]) => writeFile(join(folder, path), bytes)));
  }
}

/** The parameters of the phantom in a folder; undefined for a missing or empty folder. */
async function findPhantom(out: string): Promise<Parameters | undefined> {
  let names: string[];
  try {
    names = await readdir(out);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new UsageError(
      `${out}: expected a folder for the phantom, got ${code === "ENOTDIR" ? "a file" : code}`,
    );
  }
  if (names.length === 0) return undefined;
  if (!names.includes(parametersFile)) {
    throw new UsageError(`${out}: expected a phantom or an empty folder, got one without ${parametersFile}`);
  }
  const found = readParameters(await readFile(join(out, parametersFile)), join(out, parametersFile));
  for (let index = 0; index < found.cases; index++) {
    if (names.includes(phantomName(index))) continue;
    throw new UsageError(
      `${out}: expected ${found.cases} cases, got none called ${phantomName(index)}; delete the folder`,
    );
  }
  return found;
}

/** Returns the content of the split file of version 2; null where the folder has none. */
function splitText({ version, cases }: Parameters): string | null {
  const split = version > 1 ? phantomSplit(cases) : null;
  return split && textOf(split);
}

function textOf(content: object): string {
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** Throws a UsageError if a folder holds other files than a phantom's: those are never deleted. */
async function refuseForeign(out: string, found: Parameters): Promise<void> {
  const names = (await readdir(out)).filter((name) => name !== parametersFile);
  const split = names.includes(SPLIT_FILE) ? await readFile(join(out, SPLIT_FILE), "utf8") : null;
  const own = split === splitText(found) ? [SPLIT_FILE] : [];
  const foreign = names.find((name) => !own.includes(name) && !/^PHANTOM_\d{3,4}$/.test(name));
  if (foreign === undefined) return;
  throw new UsageError(
    `${out}: expected nothing but a phantom to overwrite, got ${foreign} too; move it away`,
  );
}

function readParameters(bytes: Uint8Array, path: string): Parameters {
  try {
    return v.parse(ParametersSchema, jsonOf(bytes, path));
  } catch {
    // not JSON, or of another shape: the error below covers both
  }
  throw new UsageError(`${path}: expected the parameters of a phantom, got other content; delete the folder`);
}

function describe({ version, seed, cases, size, raters }: Parameters): string {
  const plural = cases === 1 ? "case" : "cases";
  const labels = raters === false ? ", without raters" : "";
  return `a phantom of ${cases} ${plural}, size ${size}, seed ${seed}, version ${version}${labels}`;
}

async function removeEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
