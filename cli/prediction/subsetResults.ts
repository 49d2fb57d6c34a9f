// The finished results of a table of fifteen, one line of results.jsonl for each pair of case and network. A
// line counts again only for the same networks, settings and files, and while its label map is unchanged.

import { join } from "node:path";
import * as v from "valibot";
import type { Modality } from "../../data/datasets/datasets.ts";
import { subsetName } from "../../data/datasets/subsets.ts";
import { sha256 } from "../../data/digest.ts";
import { postprocessingText } from "../../model/inference/postprocess.ts";
import type { CaseMetrics } from "../../model/scoring/metrics.ts";
import { appendLine, writeAtomically } from "../files/files.ts";
import type { InputChecksums } from "./inputChecksums.ts";
import { labelFile } from "./labelFiles.ts";
import { type Candidate, takesAny, useWith } from "./candidates.ts";
import { type PlannedCase, preparationOf } from "./predictionPlan.ts";
import type { Settings } from "./predictionRecord.ts";
import { readFile } from "../terminal/userFile.ts";

const FILE = "results.jsonl";

/** One finished pair of case and network. */
export interface SubsetResultLine {
  case: string;
  /** By resultName(). */
  network: string;
  /** All that the result depends on, as JSON. */
  key: string;
  /** The SHA-256 of the label map's file. */
  prediction: string;
  seconds: number;
  windows: number;
  metrics: CaseMetrics;
}

const LineSchema = v.object({
  case: v.string(),
  network: v.string(),
  key: v.string(),
  prediction: v.string(),
  seconds: v.number(),
  windows: v.number(),
  metrics: v.looseObject({ case: v.string(), regions: v.record(v.string(), v.looseObject({})) }),
});

/**
 * The name of a network's results. Where it takes any of its contrasts, it has other results for each subset
 * that it sees: "student_any/t1ce+flair".
 */
export function resultName({ candidate, sees }: { candidate: Candidate; sees: readonly Modality[] }): string {
  return takesAny(candidate) ? `${candidate.name}/${subsetName(sees)}` : candidate.name;
}

/** The folder of the label maps of results, inside the table's folder. */
export function predictionsOf(name: string): string {
  return join("predictions", ...name.split("/"));
}

/**
 * All that the result of a case depends on: the checkpoints, their use, the settings, and the SHA-256 of the
 * case's images and of its label.
 */
export async function resultKey(
  { id, candidate, sees }: PlannedCase,
  { label, settings, checksums }: { label: string; settings: Settings; checksums: InputChecksums },
): Promise<string> {
  const { members, postprocessing } = candidate;
  const uses = members.map(({ use }) => useWith(use, sees));
  return JSON.stringify({
    checkpoints: members.map(({ checksum }) => checksum),
    uses: uses.map((use) => `${preparationOf(use)} ${use.patch.join()} ${use.window}`),
    postprocessing: postprocessing ? postprocessingText(postprocessing) : "none",
    ...settings,
    inputs: await checksums.of(id, sees),
    label: await checksums.file(label),
  });
}

/** The results of a folder, as they grow. */
export class SubsetResults {
  readonly #folder: string;
  readonly #lines = new Map<string, SubsetResultLine>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads the results of a folder; with `anew` none of them. */
  static async open(folder: string, anew: boolean): Promise<SubsetResults> {
    const results = new SubsetResults(folder);
    for (const line of anew ? [] : (await textIn(folder)).split("\n")) {
      const found = parsed(line);
      if (found) results.#lines.set(nameOf(found.case, found.network), found);
    }
    return results;
  }

  /** Removes from the file what a crash left of a line, and every result that open() did not read. */
  async clean(): Promise<void> {
    const text = await textIn(this.#folder);
    const kept = text.split("\n").filter((line) => {
      const found = parsed(line);
      return found && this.#lines.has(nameOf(found.case, found.network));
    });
    const whole = kept.map((line) => `${line}\n`).join("");
    if (whole !== text) await writeAtomically(join(this.#folder, FILE), whole);
  }

  /** The result of a pair with this key; null without one, or if its label map was changed or removed. */
  async find(pair: PlannedCase, key: string): Promise<SubsetResultLine | null> {
    const [id, name] = [pair.id, resultName(pair)];
    const line = this.#lines.get(nameOf(id, name));
    if (line?.key !== key) return null;
    const file = await readFile(join(this.#folder, predictionsOf(name), labelFile(id))).catch(() => null);
    return file && (await sha256(file)) === line.prediction ? line : null;
  }

  /** Adds a result, with the checksum of its label map. */
  async add(line: Omit<SubsetResultLine, "prediction">): Promise<void> {
    const path = join(this.#folder, predictionsOf(line.network), labelFile(line.case));
    const whole = { ...line, prediction: await sha256(await readFile(path)) };
    await appendLine(join(this.#folder, FILE), JSON.stringify(whole));
    this.#lines.set(nameOf(line.case, line.network), whole);
  }

  /** The measures of a finished pair, by its network's resultName(). */
  of(id: string, name: string): CaseMetrics {
    return this.#lines.get(nameOf(id, name))!.metrics;
  }
}

async function textIn(folder: string): Promise<string> {
  return readFile(join(folder, FILE), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
}

function nameOf(id: string, network: string): string {
  return JSON.stringify([id, network]);
}

function parsed(line: string): SubsetResultLine | null {
  try {
    return v.parse(LineSchema, JSON.parse(line)) as unknown as SubsetResultLine;
  } catch {
    return null; // an empty line, or one that a crash cut short
  }
}
