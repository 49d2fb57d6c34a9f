// model_card.md of a stage: describes the network, its training data, its scores and its limits for people
// who receive the folder. Made from the stage's files alone.

import { basename, join, resolve } from "node:path";
import { formatSpacing } from "../../data/check/checkVolume.ts";
import { MODALITIES } from "../../data/datasets/datasets.ts";
import { DataError } from "../../data/errors.ts";
import { mergedLabels } from "../../data/datasets/labels.ts";
import { patientNote, patientsBy } from "../../data/datasets/patients.ts";
import { channelNames } from "../../model/networks/anyContrasts.ts";
import {
  classifies,
  frozenStages,
  methodOf,
  PLAIN,
  rolesOf,
  titleOf,
  trainedBeside,
} from "../../model/methods/index.ts";
import { CONVENTIONS } from "../../model/scoring/conventions.ts";
import { REGION_NAMES } from "../../model/scoring/regions.ts";
import type { Interval } from "../../model/scoring/statistics.ts";
import type { Summary } from "../../model/scoring/summary.ts";
import {
  CONTROL_TITLES,
  networkContrasts,
  runOf,
  stageName,
  stageTitle,
  type TrainConfig,
} from "../../trainer/settings/config.ts";
import { writeAtomically } from "../files/files.ts";
import { PRESENCE, presenceText } from "../prediction/presenceFiles.ts";
import { scoreOf } from "./charts.ts";
import { bestValidation, costOf, type ReportStage } from "./reportCurves.ts";
import { count, timeText } from "./reportPage.ts";
import { FILES } from "../files/stageFolder.ts";
import { readSplit, type StoredSplit } from "../files/storedSplit.ts";
import { readStage, sharedSettings } from "./stageResults.ts";
import { recordedSplit } from "../../trainer/stages/stageSplit.ts";
import { conventionWords, formatScore, meanScore } from "../terminal/table.ts";
import { bytesText } from "../../engine/gpu/errors.ts";

const FEW = 20; // with fewer test cases the scores come with a warning

/** Writes the card of a finished stage into its folder. */
export async function writeModelCard(config: TrainConfig): Promise<void> {
  const folder = join(config.out, stageName(config));
  const stored = await readSplit(folder);
  if (!stored)
    throw new DataError(`${join(folder, FILES.split)}: expected the cases of a stage, got no file`);
  const split = recordedSplit(config, stored);
  await writeAtomically(join(folder, FILES.card), modelCard(config, await readStage(config), split));
}

/** The card as Markdown. */
export function modelCard(config: TrainConfig, stage: ReportStage, split: StoredSplit): string {
  const name = stageName(config);
  const { summary } = stage;
  return [
    `# ${name}`,
    about(config),
    "**Not a medical device.** For research: nothing here has been validated for diagnosis, treatment or any other clinical use.",
    "## Network",
    network(config, stage),
    "## Data",
    data(config, stage, split),
    "## Training",
    training(config, stage),
    "## Scores",
    config.stage === "pretrain" ? observed(stage) : summary ? scores(summary, split) : presence(stage),
    "## Limits",
    limits(config, split),
    "## How to use it",
    use(config, split),
    "## Licence",
    "The program is under the MIT licence. Weights may encode training data; the data set's licence decides who may use them, and for what.",
    "## All settings",
    table(
      ["setting", "value"],
      Object.entries(sharedSettings([config])).map(([key, value]) => [key, chosen(text(value))]),
    ),
  ]
    .map((part) => `${plain(part)}\n`)
    .join("\n");
}

/** Escapes HTML outside of blocks of code, and removes control characters. */
function plain(markdown: string): string {
  const parts = markdown.replace(/(?!\n)\p{Cc}/gu, "").split(/(```[\s\S]*?```)/);
  return parts
    .map((part, i) => (i % 2 ? part : part.replaceAll("&", "&amp;").replaceAll("<", "&lt;")))
    .join("");
}

/** A name that the user chose, in which no code begins or ends. */
function chosen(name: string): string {
  return name.replaceAll("`", "'");
}

const UNKNOWN = "There were no test cases: its accuracy is unknown.";

/** The scores of a network that classifies. */
function presence({ presence: found }: ReportStage): string {
  if (!found) return UNKNOWN;
  return `It says which regions a window shows, and segments nothing. On ${presenceText(found, found.cases.length)}. An AUC of 0.5 is that of a guess, also where all windows agree. More in \`${PRESENCE.json}\`.`;
}

/** The numbers that a pretraining observed at its end. */
function observed({ metrics }: ReportStage): string {
  const numbers = Object.entries(metrics.at(-1)?.observed ?? {}).map(
    ([name, value]) => `${name} ${value.toFixed(3)}`,
  );
  return `It segments nothing, and has no scores. In its last epoch: loss ${metrics.at(-1)?.losses["total"]?.toFixed(3) ?? "unknown"}, ${numbers.join(", ")} (entropies of the teacher's predictions, as shares of the most possible).`;
}

function about(config: TrainConfig): string {
  const { modalities, any } = networkContrasts(config);
  if (config.stage === "pretrain")
    return `The encoder of a V-Net, pretrained without labels by ${titleOf(config.method)} on ${modalities.join(", ")}. It segments nothing yet: training another stage from it, with labels, makes a network that does. The file holds the last epoch's teacher, a moving average of the trained encoder.`;
  const seen = (any ? "any of " : "") + modalities.join(", ");
  if (classifies(config.method))
    return `Says which parts of a brain tumour a window of MRI shows, and segments nothing: ${stageTitle(config)}. Its input is ${seen}; it gives the probabilities of whole tumour, tumour core and enhancing tumour. It was trained ${trainedFrom(config)}.`;
  return `Segments brain tumours in MRI: ${stageTitle(config)}. Its input is ${seen}; it marks enhancing tumour, necrotic or non-enhancing core, and oedema. It was trained ${trainedFrom(config)}.`;
}

/** A network's teachers, and the paper of its method: "from labels and the network of teacher". */
export function trainedFrom(config: TrainConfig): string {
  const method = methodOf(config.method);
  const run = runOf(config, MODALITIES);
  const stages = frozenStages(method, run);
  const itself = Object.values(rolesOf(method, run)).some((role) => "sameAs" in role);
  const beside = trainedBeside(method, run).length > 0;
  const sources = [
    "labels",
    ...(stages.length ? [`the ${stages.length > 1 ? "networks" : "network"} of ${stages.join(", ")}`] : []),
    ...(itself ? ["its own predictions from every contrast of a case"] : []),
  ];
  const alone = sources.length === 1 && !beside ? " alone" : "";
  const together = beside ? ", together with a teacher network" : "";
  const paper = method.name === PLAIN ? "" : ` (method: ${method.name}; ${method.source})`;
  const { control = "none" } = config;
  const controlled =
    control === "none" ? "" : `, as a control: the ${CONTROL_TITLES[control]} lacks what the method is for`;
  return `from ${sources.join(" and ")}${alone}${together}${paper}${controlled}`;
}

function network(config: TrainConfig, { parameters }: ReportStage): string {
  const size = parameters === undefined ? "" : `, ${parameters.toLocaleString("en")} trained parameters`;
  const part = config.stage === "pretrain" || classifies(config.method);
  const kind = part ? "The encoder of a 3-D V-Net" : "A 3-D V-Net";
  return `${kind} with ${config.filters} channels at full resolution, ${config.levels} resolutions and ${config.norm} norm${size}. Its window is ${config.patch.join(" x ")} voxels.`;
}

function data(config: TrainConfig, stage: ReportStage, split: StoredSplit): string {
  const { train, val, test, layout, labels } = split;
  const patients = patientNote(split, patientsBy(config.patients));
  const merged = labels === undefined ? [] : mergedLabels(labels).map((line) => ` In them, ${line}.`);
  return `Data set \`${chosen(basename(resolve(config.data)))}\` (layout: ${layout}; labels: ${labels}).${merged.join("")} ${table(
    ["use", "cases"],
    [
      ["training", `${train.length}`],
      ["validation", `${val.length}`],
      ["test", `${test.length}`],
    ],
    "\n\n",
  )}

${patients ? `${patients}. ` : ""}The case names are in \`${FILES.split}\`${split.absent ? "; those that lack a contrast of this network were not used" : ""}. Input: background ${config.background}, crop ${config.crop}, padding ${config.padding}; each contrast to mean 0 and deviation 1 within the brain.${gridText(stage)}`;
}

/** The grid that a scan should have. */
function gridText({ grid }: ReportStage): string {
  if (!grid) return "";
  const turned = "scans of another orientation are turned for the network";
  return ` Orientation ${grid.orientation} (${turned}), voxels of ${formatSpacing(grid.spacing)} mm: nothing is resampled, so use scans of about this voxel size.`;
}

function training(config: TrainConfig, stage: ReportStage): string {
  const { epochs, steps, seconds, gpuBytes } = costOf(stage);
  const best = bestValidation(stage.metrics);
  const memory = gpuBytes === null ? "" : `, at most ${bytesText(gpuBytes)} on the GPU`;
  const chosen = best
    ? ` The best mean ${scoreOf(stage.metrics)} on the validation cases was ${best.mean.toFixed(3)}, in epoch ${best.epoch}.`
    : "";
  return `${count(epochs, "epoch")} (${count(steps, "step")} of ${config.batch} patches) in ${timeText(seconds)}${memory}; ${config.optimizer}, learning rate ${config.lr} (${config.schedule}), seed ${config.seed}.${chosen}`;
}

function scores(
  { mean, convention, intervals, metric_per_case: cases }: Summary,
  { val, test }: StoredSplit,
): string {
  const row = (key: "Dice" | "HD95", label: string, digits: number): string[] => {
    const values = REGION_NAMES.map((region) => mean[region][key] as number | null);
    const cells = [...values, meanScore(values)].map((value, i) => {
      const { low, high } = intervals[key][[...REGION_NAMES, "mean" as const][i]!] as Nullable<Interval>;
      const range =
        low === null || Number.isNaN(low)
          ? ""
          : ` (${formatScore(low, digits)} to ${formatScore(high, digits)})`;
      return formatScore(value, digits) + range;
    });
    return [label, ...cells];
  };
  const rows = [row("Dice", "Dice", 3), row("HD95", "HD95, mm", 1)];
  const few =
    cases.length < FEW
      ? `\n\n${count(cases.length, "test case")}: too few to compare it with another network.`
      : "";
  const validated = new Set(val);
  const shared = test.some((id) => validated.has(id));
  const whose = shared
    ? "on which its best epoch was chosen too, so that the scores are too good"
    : "used neither for training nor to choose the best epoch";
  return `On ${count(cases.length, "test case")}, ${whose}; in brackets 95 % bootstrap intervals over cases.

${table(["", ...REGION_NAMES, "mean"], rows)}

WT whole tumour, TC tumour core, ET enhancing tumour. Regions that are empty in a map are scored by the convention "${convention}": ${conventionWords(CONVENTIONS[convention])}. More in \`${FILES.summary}\`.${few}`;
}
type Nullable<T> = { [Key in keyof T]: T[Key] | null };

function limits(config: TrainConfig, { train }: StoredSplit): string {
  const { modalities: seen, any } = networkContrasts(config);
  const input = seen.length > 1 ? "inputs are" : "input is";
  const only =
    seen.length < MODALITIES.length
      ? `Its only ${input} ${seen.join(", ")}: it cannot find what only other contrasts show. `
      : "";
  const alone = any
    ? `${only}In a case that lacks some of them, it cannot find what only these show. `
    : only;
  return `${alone}It was trained on ${count(train.length, "case")} of one data set; on other scanners, protocols, ages, tumours or after treatment it may fail without warning. It expects scans as in that data set: skull removed, contrasts registered. Check every result.`;
}

const AVAILABILITY =
  'It takes any of its contrasts: a channel "has X" is 1 in every voxel where the case has X; otherwise it is 0, and so is the image of X';

function use(config: TrainConfig, split: StoredSplit): string {
  if (config.stage === "pretrain") return pretrainedUse(config);
  if (classifies(config.method))
    return `\`\`\`sh
node cli/predict.js --model ${FILES.best} --input DIR --output presence
\`\`\`

A student can start from its encoder, with \`--init-encoder\`; \`cli/export.js\` and \`--teacher\` refuse this file.`;
  const seen = networkContrasts(config);
  const planes = seen.any ? `. ${AVAILABILITY}` : ", in this order";
  return `\`\`\`sh
node cli/predict.js --model ${FILES.best} --input DIR --output predictions
\`\`\`

In PyTorch, by the names and layouts of the published ProtoKD code's \`VNet\`:

\`\`\`python
from safetensors.torch import load_file
state = load_file("${FILES.best}")
\`\`\`

Input channels: ${channelNames(seen).join(", ")}${planes}. Classes: 0 background, 1 ET, 2 NCR, 3 ED; labels are written as \`${split.labels}\` has them.`;
}

function pretrainedUse({ modality, filters, levels, norm }: TrainConfig): string {
  return `\`\`\`sh
node cli/train.js --stage student --modality ${modality!} --filters ${filters} --levels ${levels} --norm ${norm} --init-encoder ${FILES.best} --data DIR
\`\`\`

Any stage and method can start from it, if its network sees the same contrasts and has these sizes; the decoder is drawn from the seed. \`cli/predict.js\`, \`cli/export.js\` and \`--teacher\` refuse this file.`;
}

/** A Markdown table, after `before`. */
function table(head: readonly string[], rows: readonly (readonly string[])[], before = ""): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return `${before}${[line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")}`;
}

function text(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}
