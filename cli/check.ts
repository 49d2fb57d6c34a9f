// node cli/check.js --data DIR: describes a data set and lists all its problems and oddities in one go. Exits
// with 3 if training would refuse something, with 0 if there are only warnings.

import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { allFindings, checkDataset, type CheckReport } from "../data/check/check.ts";
import type { CaseExpectations } from "../data/check/checkCase.ts";
import { describePatients } from "../data/check/checkPatients.ts";
import { isPatients } from "../data/datasets/patients.ts";
import { MODALITIES } from "../data/datasets/datasets.ts";
import { parseSubset } from "../data/datasets/subsets.ts";
import { CONVENTION_NAMES, type LabelConvention } from "../data/datasets/labels.ts";
import { type AffineChoice, AFFINES } from "../data/preparation/grids.ts";
import { caseLines, headLines, summaryLines } from "./terminal/checkReport.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { jsonText, print, showTransient } from "./terminal/console.ts";
import { DEFAULTS, PHANTOM, SMALL } from "../trainer/settings/config.ts";
import { subsetOf } from "../trainer/settings/contrasts.ts";
import { AFFINE_HELP, SETTINGS } from "../trainer/settings/settings.ts";
import { exists } from "./files/files.ts";
import { folderSource } from "./files/folderSource.ts";
import { extent, parsePatch } from "../model/settings/kinds.ts";

/** The data set to check, and what training will expect of it. */
export interface CheckFlags {
  data: string;
  labels?: LabelConvention;
  affine?: AffineChoice;
  /** The contrasts that every case must have, joined by "+", or all; without it a case needs one. */
  modality?: string;
  patch?: string;
  patients?: string;
  unlabelled?: boolean;
  json?: boolean;
  /** Print the summary alone. */
  quiet?: boolean;
}

/** Checks a folder. `print` gets the report's lines, `progress` a line for terminals ("" at the end). */
export async function checkFolder(
  flags: CheckFlags,
  print: (line: string) => void,
  progress: (line: string) => void = () => {},
): Promise<CheckReport> {
  const { data, labels, affine, modality, patch, unlabelled = false, json = false, quiet = false } = flags;
  const { patients = DEFAULTS.patients } = flags;
  const source = await folderSource(data);
  const sizes = { ...DEFAULTS, ...((await exists(join(data, "phantom.json"))) && SMALL) };
  const printText = (lines: readonly string[]) => (json ? undefined : lines.forEach((line) => print(line)));
  const report = await checkDataset(
    source,
    {
      convention: labels,
      ...(affine && { affine }),
      ...requirements(modality),
      labels: !unlabelled,
      patch: patch === undefined ? sizes.patch : parsePatch(patch),
    },
    (done, total, one) => {
      progress("");
      if (one && !quiet) printText(caseLines(one));
      if (done < total) progress(`${done} of ${total}: ${one?.id ?? ""}`);
    },
  );
  if (report.cases.length && !unlabelled) await describePatients(report, source, patients);
  if (json) print(jsonText(report, 2));
  printText([...headLines(report), ...summaryLines(report)]);
  return report;
}

/** The contrasts to check, and those that every case must have. */
function requirements(modality?: string): Pick<CaseExpectations, "modalities" | "required"> {
  if (modality === undefined) return { modalities: MODALITIES, required: [] };
  return { modalities: modality === "all" ? MODALITIES : parseSubset(subsetOf("--modality", modality)) };
}

function parsePatients(text: string): string {
  if (isPatients(text)) return text;
  throw new InvalidArgumentError(`expected ${SETTINGS.patients.expected}.`);
}

async function main(flags: CheckFlags): Promise<void> {
  const progress = flags.quiet ? undefined : showTransient;
  const report = await checkFolder(flags, print, progress);
  if (allFindings(report, "problems").length) process.exitCode = 3;
}

/** The command's options and its help. */
export function checkCommand(): Command {
  return new Command("check")
    .description("Describes a data set and lists all its problems and oddities.")
    .requiredOption("--data <folder>", "BraTS, nnU-Net or Decathlon data")
    .addOption(
      new Option("--labels <convention>", "meaning of the label values (default: by the names)").choices([
        ...CONVENTION_NAMES,
      ]),
    )
    .addOption(new Option("--affine <whose>", AFFINE_HELP).choices(AFFINES).default("file"))
    .addOption(
      new Option(
        "--modality <contrasts>",
        "the contrasts that every case must have, such as t1ce+flair, or all (default: at least one)",
      ),
    )
    .option("--unlabelled", "check cases for prediction: labels are not needed")
    .option(
      "--patch <d,h,w>",
      `warn of brains smaller than this (${extent().limits}; default: ${DEFAULTS.patch.join()}; phantom: ${String(SMALL.patch)})`,
    )
    .addOption(
      new Option(
        "--patients <pattern>",
        "how a case's patient is found, as in train: auto, none, or a pattern",
      )
        .argParser(parsePatients)
        .default(DEFAULTS.patients),
    )
    .addOption(
      new Option("--quiet", "print the summary alone, with all problems and warnings").conflicts("json"),
    )
    .option("--json", "print the report as JSON and nothing else")
    .addHelpText(
      "after",
      examples(
        `node cli/check.js --data ${PHANTOM.folder}`,
        "node cli/check.js --data BraTS2021 --patch 64,96,96",
        "node cli/check.js --data new-patients --modality t1ce+flair --unlabelled",
      ),
    );
}

if (isMain(import.meta.url)) process.exitCode = await runCommand<CheckFlags>(checkCommand(), main);
