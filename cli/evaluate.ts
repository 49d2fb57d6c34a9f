// node cli/evaluate.js --predictions DIR --references DIR: Dice and HD95 of predicted label maps, as a table
// and as summary.json.

import { join } from "node:path";
import { Command, Option } from "commander";
import { CONVENTION_NAMES as LABEL_NAMES, type LabelConvention } from "../data/datasets/labels.ts";
import { type AffineChoice, AFFINES } from "../data/preparation/grids.ts";
import { CONVENTION_NAMES, type ConventionName } from "../model/scoring/conventions.ts";
import { checkWritable, exists } from "./files/files.ts";
import { evaluateFolders, writeSummary } from "./prediction/evaluation.ts";
import { coverageText } from "./prediction/labelPairs.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { emit, result, say, showTransient, warn, withVoices } from "./terminal/console.ts";
import { formatSummary } from "./terminal/table.ts";

interface Flags {
  predictions: string;
  references: string;
  output?: string;
  labels?: LabelConvention;
  convention: ConventionName;
  affine: AffineChoice;
  partial?: boolean;
}

async function main({ output, ...flags }: Flags): Promise<void> {
  const path = output ?? join(flags.predictions, "summary.json");
  const progress = (done: number, total: number, name: string): void =>
    showTransient(`${done + 1} of ${total}: ${name}`);
  const note = (line: string, kind?: "warning"): void => {
    showTransient("");
    (kind === "warning" ? warn : say)(line);
  };
  if (output !== undefined || (await exists(flags.predictions))) await checkWritable(path, "--output");
  try {
    const summary = await evaluateFolders({ ...flags, note, progress });
    showTransient("");
    const coverage = summary.coverage && coverageText(summary.coverage);
    result([formatSummary(summary), ...(coverage ? [coverage] : [])].join("\n"));
    emit("summary", summary);
    await writeSummary(path, summary); // last: a disk that fails now does not take the results along
    result(`written: ${path}`);
  } finally {
    showTransient("");
  }
}

if (isMain(import.meta.url)) {
  const program = new Command("evaluate")
    .description(
      "Scores predictions: Dice, HD95 and lesion-wise scores of whole tumour (WT), tumour core (TC) and enhancing tumour (ET).",
    )
    .addHelpText(
      "after",
      examples(
        "node cli/evaluate.js --predictions predictions --references BraTS2021",
        "node cli/evaluate.js --predictions predictions --references labels --convention nnunet --partial",
      ),
    )
    .requiredOption("--predictions <folder>", "label maps named <case>.nii.gz")
    .requiredOption("--references <folder>", "a data set with labels, or a folder of label maps")
    .option(
      "--output <file>",
      "where to write the summary (default: summary.json in the predictions' folder)",
    )
    .addOption(
      new Option(
        "--labels <convention>",
        "meaning of the values in the files (default: by predictions.json and the references)",
      ).choices(LABEL_NAMES),
    )
    .addOption(
      new Option(
        "--convention <name>",
        "scores of regions that are empty in a map (summary.json has the means of all conventions)",
      )
        .choices(CONVENTION_NAMES)
        .default("brats"),
    )
    .addOption(
      new Option(
        "--affine <whose>",
        "affine of a prediction: its file's, or its reference's where shapes agree",
      )
        .choices(AFFINES)
        .default("file"),
    )
    .option("--partial", "skip references that have no prediction");
  process.exitCode = await runCommand<Flags>(withVoices(program), main);
}
