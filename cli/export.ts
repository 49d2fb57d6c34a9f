// node cli/export.js --model FILE --output FILE: converts a checkpoint to an ONNX model, or to a safetensors
// file of the network's tensors alone. Needs no GPU.

import { extname } from "node:path";
import { Command, Option } from "commander";
import { type Modality, MODALITIES } from "../data/datasets/datasets.ts";
import { CLASS_NAMES } from "../data/datasets/labels.ts";
import { cardMetadata } from "../model/files/card.ts";
import { channelNames } from "../model/networks/anyContrasts.ts";
import { deployedNetwork } from "../model/networks/auxiliary.ts";
import { vnetToOnnx } from "../model/files/onnx.ts";
import { describeVnet } from "../model/files/published.ts";
import { encodeSealed } from "../model/files/seal.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import { fittingPatch } from "../trainer/settings/config.ts";
import { emit, result, say, withVoices } from "./terminal/console.ts";
import { checkWritable, exists, writeAtomically } from "./files/files.ts";
import { channelsOf, readModel, type StoredModel } from "./files/models.ts";
import { extent, parsePatch } from "../model/settings/kinds.ts";

export interface ExportOptions {
  /** A checkpoint of this project, or a published one. */
  model: string;
  output: string;
  /** Default: by the ending of `output`. */
  format?: Format;
  /** ONNX: the input's size, D,H,W; default: any size. */
  patch?: string;
  /** ONNX: also output the features before the last layer. */
  features?: boolean;
  /** The input of a published network of one modality. */
  modality?: Modality;
  overwrite?: boolean;
}

const FORMATS = ["onnx", "safetensors"] as const;
type Format = (typeof FORMATS)[number];

/** Writes the file and prints what it holds. Throws a UsageError if options conflict or the file exists. */
export async function exportModel(options: ExportOptions): Promise<void> {
  const { output, patch, features = false } = options;
  const format = options.format ?? FORMATS.find((known) => extname(output) === `.${known}`);
  if (!format)
    throw new UsageError(`--output ${output}: expected the ending .onnx or .safetensors, or a --format`);
  const surplus = format === "onnx" ? undefined : patch !== undefined ? "--patch" : features && "--features";
  if (surplus) throw new UsageError(`${surplus}: expected with --format onnx, got ${format}`);
  if (!options.overwrite && (await exists(output)))
    throw new UsageError(
      `${output}: exists already: choose another --output, or replace it with --overwrite`,
    );
  await checkWritable(output, "--output");
  const model = await readModel(options.model);
  const modalities = channelsOf(model, options.modality);
  if (format === "onnx" && model.card?.architecture)
    throw new UsageError(
      `${options.model}: is a ${model.card.architecture} network, and only V-Nets become ONNX models: use predict.js`,
    );
  const { config: network, values } = deployedNetwork({ config: model.network, values: model.values });
  const size = patch === undefined ? null : fittingPatch(parsePatch(patch), network.levels);
  const metadata = describe(model, modalities);
  const bytes =
    format === "onnx"
      ? vnetToOnnx({ config: network, values }, { size, features, metadata })
      : await encodeSealed(values, model.card ? cardMetadata({ ...model.card, network }) : {});
  await writeAtomically(output, bytes);
  const channels = channelNames({ modalities, any: model.card?.any });
  const about = describeVnet({ ...network, modalities: modalities.length });
  const seen = model.card?.any
    ? `any of ${modalities.join(", ")} (input channels: ${channels.join(", ")})`
    : modalities.join(", ");
  result(`${output}: ${about}, of ${seen}; ${bytes.length} bytes`);
  if (!model.card) say(`${model.path} does not record how its input was prepared, so neither does ${output}`);
  emit("end", { output, format, network, modalities, channels, bytes: bytes.length });
}

const AVAILABILITY =
  'takes any of its modalities: "has X" is 1 in every voxel, padding too, if the case has X; otherwise it is 0, ' +
  "and X is 0 in every voxel";

/**
 * Metadata of an ONNX model: its modalities in channel order, its classes, and how its input is prepared; of
 * a network that takes any of its modalities also all channels, and how to fill them.
 */
function describe({ card, network }: StoredModel, modalities: readonly Modality[]): Record<string, string> {
  const known = { modalities: modalities.join(","), classes: CLASS_NAMES.join(","), norm: network.norm };
  if (!card) return known;
  const { labels, background, crop, padding, window, patch, stage, grid, any } = card;
  return {
    ...known,
    ...(any && { channels: channelNames({ modalities, any }).join(","), availability: AVAILABILITY }),
    labels,
    background,
    crop,
    padding,
    window,
    patch: patch.join(","),
    stage,
    ...(grid && { orientation: grid.orientation, spacing: grid.spacing.join(",") }),
  };
}

if (isMain(import.meta.url)) {
  const program = new Command("export")
    .description(
      "Converts a checkpoint to an ONNX model, or to safetensors without the state of its training.",
    )
    .requiredOption("--model <file>", "a checkpoint, of a run or published")
    .requiredOption("--output <file>", "the file to write: NAME.onnx or NAME.safetensors")
    .addOption(new Option("--format <name>", "the kind of file (default: by its ending)").choices(FORMATS))
    .option(
      "--patch <d,h,w>",
      `onnx: size of the input (${extent().limits}; default: any multiple of 2^(levels-1))`,
    )
    .option("--features", "onnx: also output the features before the last layer")
    .addOption(
      new Option("--modality <name>", "input of a published model of one modality").choices(MODALITIES),
    )
    .option("--overwrite", "replace an existing file")
    .addHelpText(
      "after",
      examples(
        "node cli/export.js --model runs/brats/teacher/checkpoint_best.safetensors --output teacher.onnx",
        "node cli/export.js --model student.safetensors --output student.onnx --patch 96,128,128 --features",
        "node cli/export.js --model runs/brats/teacher/checkpoint_latest.safetensors --output teacher.safetensors",
      ),
    );
  process.exitCode = await runCommand<ExportOptions>(withVoices(program), exportModel);
}
