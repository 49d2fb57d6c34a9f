// Writes a table of fifteen in all its forms.

import { join } from "node:path";
import type { SubsetTable } from "../../trainer/experiments/subsetTable.ts";
import { compareSubsets } from "../../trainer/experiments/subsetComparison.ts";
import { writeAtomically } from "../files/files.ts";
import { type Against, TABLE_FILE } from "../prediction/subsetAgainst.ts";
import { emit, result } from "../terminal/console.ts";
import { subsetPage } from "./subsetPage.ts";
import { subsetCsv, subsetMarkdown, type SubsetReport, subsetText } from "./subsetReport.ts";

/** Writes the table in all its forms, and prints it. */
export async function writeTable(
  out: string,
  {
    table,
    name,
    labels,
    against,
  }: {
    table: SubsetTable;
    name: string;
    labels: Record<string, string>;
    against: Against | null;
  },
): Promise<void> {
  const compared = against && { name: against.name, comparisons: compareSubsets(table, against) };
  const report: SubsetReport = { name, table, against: compared };
  await writeJson(join(out, TABLE_FILE), { name, ...table, labels, against: compared });
  await writeAtomically(join(out, "subsets.csv"), subsetCsv(report));
  await writeAtomically(join(out, "subsets.md"), subsetMarkdown(report));
  await writeAtomically(join(out, "subsets.html"), subsetPage(report));
  result(`${subsetText(report)}\nwritten: ${join(out, "subsets.html")} (and .md, .csv, .json)`);
  emit("subsets", { name, ...table, against: compared, output: out });
}

/** Writes an object as JSON. */
export async function writeJson(path: string, content: object): Promise<void> {
  await writeAtomically(path, `${JSON.stringify(content, null, 2)}\n`);
}
