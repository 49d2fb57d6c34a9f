// node cli/study.js --size hour: does a method help? Trains every arm of a study, its controls among them,
// and writes one page with differences, intervals and verdicts. Finished arms are kept as small files of
// evidence and are never trained again; a stopped study resumes with the same command.

import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Command, Option } from "commander";
import type { Device } from "../engine/index.ts";
import { choosingArms, reportedArms, type Study } from "../trainer/experiments/study.ts";
import { readStudy } from "../trainer/experiments/studyConfig.ts";
import { chosenEntries } from "../trainer/experiments/studyResult.ts";
import { type Size, SIZES } from "../trainer/experiments/studySizes.ts";
import { openTuned } from "./device/tuning.ts";
import { openStudyData, type StudyData } from "./files/studyData.ts";
import { STUDY, writeStudy } from "./report/studyReport.ts";
import { type Place, planArms, runArms } from "./stages/study.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { readObject, refuseProblems } from "./terminal/configFile.ts";
import { emit, result, say, warn, withVoices } from "./terminal/console.ts";

interface Flags {
  config?: string;
  size?: Size;
  data?: string;
  out?: string;
  evidence: string;
}

async function main(flags: Flags): Promise<void> {
  const study = await studyOf(flags);
  const out = flags.out ?? join("runs", `study-${study.name.replaceAll(" ", "-")}`);
  const sets = new Map<string, StudyData>();
  for (const set of [...study.sets, ...(study.choose?.sets ?? [])])
    sets.set(JSON.stringify(set), await openStudyData(set, out, flags.data ?? null));
  let device: Device | null = null;
  const place: Place = {
    open: async () => (device ??= await openTuned({ fast: false, retune: false })),
    out,
    evidence: flags.evidence,
    version: await programVersion(),
    settings: study.settings,
    dataOf: ({ set }) => sets.get(JSON.stringify(set))!,
  };
  const choosing = await planArms(choosingArms(study), place);
  await planArms(reportedArms(study), place); // mistakes in them, before anything is trained
  const tried = await runArms(choosing, place);
  const chosen = chosenEntries(tried.finished);
  for (const { name, mean } of chosen) say(`${name}: mean Dice ${mean.toFixed(3)} in the choice`);
  const { finished, failed } = await runArms(await planArms(reportedArms(study, chosen), place), place);
  const notes = [...tried.failed, ...failed].map(({ message }) => message);
  notes.forEach(warn);
  const report = { study, finished, command: commandOf(flags), notes };
  result(await writeStudy(out, report));
  const page = join(out, STUDY.report);
  result(`report: ${page}`);
  emit("end", { report: page });
  const [diverged] = [...tried.failed, ...failed];
  if (diverged) throw diverged; // for the exit code
}

/** The study that --config or --size names. Throws a UsageError with all mistakes in the file. */
async function studyOf({ config, size, data }: Flags): Promise<Study> {
  const found =
    config === undefined ? {} : await readObject(config, 'a study as JSON, like {"size": "hour"}');
  const { study, problems } = readStudy({ ...folderStudy(data, found), ...found }, size);
  refuseProblems(config ?? "", problems);
  return study;
}

/** A study of a folder's own split, where --data names one and the file names no data sets. */
function folderStudy(data: string | undefined, found: object): object {
  return data === undefined || "sets" in found ? {} : { sets: [{ split: null }], choose: null };
}

/** The command that repeats the study, without the paths of this machine. */
function commandOf({ config, size, data }: Flags): string {
  const flags = [
    ...(config === undefined ? [] : [`--config ${basename(config)}`]),
    ...(size === undefined ? [] : [`--size ${size}`]),
    ...(data === undefined ? [] : [`--data ${basename(data)}`]),
  ];
  return ["node cli/study.js", ...flags].join(" ");
}

async function programVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}

const command = new Command("study")
  .description("Compares methods by many trainings: does one help, and could this study have shown it?")
  .addHelpText(
    "after",
    examples(
      "node cli/study.js --size minute",
      "node cli/study.js --size hour",
      "node cli/study.js --size unlabelled",
      "node cli/study.js --config study.json --data BraTS2021 --out runs/study",
    ),
  )
  .addOption(
    new Option(
      "--size <size>",
      "a study on phantoms: minute, hour and night are its times on two cores",
    ).choices(SIZES),
  )
  .option("--config <file>", "a study as JSON; what it lacks is that of --size")
  .option("--data <dir>", "compare on these data instead of phantoms")
  .option("--out <dir>", "folder of all trainings and of the report (default: runs/study-<name>)")
  .option(
    "--evidence <dir>",
    "folder of the finished arms' scores; arms in it are not trained again",
    "docs/evidence",
  );

if (isMain(import.meta.url)) process.exitCode = await runCommand<Flags>(withVoices(command), main);
