// metrics.csv of a stage: all numbers of all epochs, a row per epoch and columns such as losses.dice and
// validation.WT. It grows by a row; it is written anew, from metrics.jsonl, only where a number is new.

import { join } from "node:path";
import type { EpochRecord } from "../../trainer/loop/records.ts";
import { csv } from "../files/csv.ts";
import { appendLine, writeAtomically } from "../files/files.ts";
import { readRecords } from "../files/ownFiles.ts";
import { FILES } from "../files/stageFolder.ts";

/** The table as text. */
export function metricsCsv(records: readonly EpochRecord[]): string {
  const columns = columnsOf(records);
  return csv([columns, ...records.map((record) => rowOf(record, columns))]);
}

/** The file of a training that goes on. */
export class MetricsFile {
  readonly #folder: string;
  /** The columns of the file as it is; null where it must be written anew. */
  #columns: ReadonlySet<string> | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Writes the epochs in metrics.jsonl, as a resumed training finds them. */
  async write(records: readonly EpochRecord[]): Promise<void> {
    this.#columns = null;
    await writeAtomically(this.#path, metricsCsv(records));
    this.#columns = new Set(columnsOf(records));
  }

  /** Adds an epoch, which metrics.jsonl may not have yet. */
  async add(record: EpochRecord): Promise<void> {
    const columns = this.#columns;
    if (columns === null || columnsOf([record]).some((name) => !columns.has(name))) {
      const before = await readRecords(this.#folder);
      return this.write([...before.filter(({ epoch }) => epoch < record.epoch), record]);
    }
    this.#columns = null; // where this fails, a part of a row may be in the file
    await appendLine(this.#path, csv([rowOf(record, [...columns])]).trimEnd());
    this.#columns = columns;
  }

  get #path(): string {
    return join(this.#folder, FILES.csv);
  }
}

/** The columns of epochs, in the order in which they first have them. */
function columnsOf(records: readonly EpochRecord[]): string[] {
  const names = new Set<string>();
  for (const record of records) for (const [name] of flatten("", record)) names.add(name);
  return [...names];
}

function rowOf(record: EpochRecord, columns: readonly string[]): (number | undefined)[] {
  const values = new Map(flatten("", record));
  return columns.map((column) => values.get(column));
}

function flatten(prefix: string, value: object): [string, number | undefined][] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    typeof inner === "object" && inner !== null
      ? flatten(`${prefix}${key}.`, inner)
      : [[prefix + key, typeof inner === "number" ? inner : undefined] as [string, number | undefined]],
  );
}
