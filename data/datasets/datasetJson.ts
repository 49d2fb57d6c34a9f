// Folders with a dataset.json: nnU-Net's (imagesTr/CASE_0000.nii.gz, one file per channel), the Medical
// Segmentation Decathlon's (imagesTr/CASE.nii.gz, all channels in one 4-D file), and lists of images, MONAI's
// or nnU-Net's. dataset.json names the modalities and labels.

import * as v from "valibot";
import { append } from "../../engine/values.ts";
import { conventionByNames } from "./bratsFolders.ts";
import { collectProblems, DataError } from "../errors.ts";
import { CONVENTION_NAMES, LABEL_CONVENTIONS, type LabelConvention, labelFlags } from "./labels.ts";
import {
  allLabels,
  casesInBoth,
  type Channels,
  Folder,
  isNumbered,
  isVolume,
  nnunetCases,
  volumeCases,
} from "./imageFolders.ts";
import { jsonOf } from "./json.ts";
import { type Entry, listedCases } from "./listedCases.ts";
import { modalityNamed } from "./names.ts";
import { type CaseFiles, clashingIds, type Modality, type Survey } from "./source.ts";
import { put } from "../groups.ts";

const Names = v.record(v.string(), v.string());
const Image = v.union([v.string(), v.array(v.string())], "expected a path, or a list of paths");
const Description = v.looseObject({
  channel_names: v.optional(Names),
  modality: v.optional(Names),
  labels: v.optional(v.record(v.string(), v.union([v.number(), v.string(), v.array(v.number())]))),
  file_ending: v.optional(v.string()),
  training: v.optional(v.array(v.looseObject({ image: Image, label: v.optional(v.string()) }))),
  dataset: v.optional(
    v.record(v.string(), v.looseObject({ images: v.array(v.string()), label: v.optional(v.string()) })),
  ),
});
type Description = v.InferOutput<typeof Description>;

interface FoundCases {
  layout: Survey["layout"];
  cases: CaseFiles[];
  newCases: CaseFiles[];
  /** How the layout was recognised. */
  why: string;
  /** The convention that image names tell, if dataset.json names no labels. */
  byNames?: ReturnType<typeof conventionByNames>;
}

/**
 * Returns the cases of a folder with the files `paths` and a dataset.json with the content `json`, and the
 * problems with them. Throws DataError if dataset.json does not name the channels, and no list of images
 * shows them.
 */
export async function surveyDatasetJson(
  json: Uint8Array,
  paths: readonly string[],
  { name, given }: { name: string; given?: LabelConvention | undefined },
): Promise<Survey> {
  const where = `${name}/dataset.json`;
  const description = parse(json, where);
  const folder = new Folder(paths, name, where);
  const { layout, cases, newCases, why, byNames } = await casesOf(description, folder, given);
  const { problems, warnings } = folder;
  append(problems, clashingIds(cases, name));
  append(problems, clashingIds(newCases, name));
  append(problems, casesInBoth(cases, newCases));
  const labels = description.labels ?? {};
  const named = byNames
    ? byNames.convention
    : await collectProblems(problems, () => given ?? conventionOf(labels, where));
  if (byNames?.problem) problems.push(byNames.problem);
  const listed = `dataset.json names the labels ${JSON.stringify(labels)}`;
  const convention = given ? "set by --labels" : (byNames?.why ?? listed);
  return {
    layout,
    convention: given ?? named ?? null,
    cases: cases.sort(byId),
    newCases: newCases.sort(byId),
    labels: allLabels([...cases, ...newCases], folder),
    byNames: byNames !== undefined && !given,
    why: { layout: why, convention },
    problems,
    warnings,
  };
}

/** Finds the cases in the way that dataset.json describes. */
async function casesOf(
  description: Description,
  folder: Folder,
  given: LabelConvention | undefined,
): Promise<FoundCases> {
  const { where } = folder;
  const { channel_names, modality, training = [], dataset, file_ending: ending = ".nii.gz" } = description;
  if (!isVolume(`x${ending}`))
    throw new DataError(
      `${where}: expected images that end in .nii.gz or .nii, got the file_ending ${ending}: convert them`,
    );
  const names = channel_names ?? modality;
  const lists = training.some(({ image }) => typeof image !== "string");
  if (lists || dataset) {
    const entries: Entry[] = dataset
      ? Object.entries(dataset).map(([id, { images, label }]) => ({ id, images, label }))
      : training.map(({ image, label }) => ({ images: [image].flat(), label }));
    const channels = names && channelsOf(names, where);
    const { cases, readings } = await listedCases(entries, channels, folder);
    if (training.some((entry) => "fold" in entry))
      folder.warnings.push(`${where}: its folds are not used: name the cases of each set with --split`);
    const why = `dataset.json lists the images of each case, for example ${entries[0]?.images[0]}`;
    const byNames = description.labels ? undefined : conventionByNames(readings, where, given);
    return { layout: "list", cases, newCases: [], why, ...(byNames && { byNames }) };
  }
  if (!names) throw new DataError(`${where}: expected "channel_names" (nnU-Net) or "modality", got neither`);
  const channels = channelsOf(names, where);
  const listed = `dataset.json names the channels ${JSON.stringify(names)}`;
  const numbered = folder.images("imagesTr").filter(isNumbered);
  if (channel_names || numbered.length || folder.images("imagesTs").some(isNumbered)) {
    const [cases, newCases] = [nnunetCases("Tr", channels, folder), nnunetCases("Ts", channels, folder)];
    return { layout: "nnunet", cases, newCases, why: `${listed}, one file each` };
  }
  const single = description.training?.map(({ image, label }) => ({ image: String(image), label }));
  const cases = await volumeCases("Tr", channels, folder, single);
  const newCases = await volumeCases("Ts", channels, folder);
  return { layout: "msd", cases, newCases, why: `${listed}, all in one 4-D file per case` };
}

/**
 * Returns the cases of a folder of nothing but images CASE_0000.nii.gz, as nnU-Net predicts them. `json` is
 * the dataset.json of the folder above; without it, `order` has the modality of each channel.
 */
export async function surveyNumbered(
  paths: readonly string[],
  { name, given, ...by }: { name: string; given?: LabelConvention | undefined } & ChannelSource,
): Promise<Survey> {
  const where = "json" in by ? `${name}/../dataset.json` : name;
  const description = "json" in by ? parse(by.json, where) : {};
  const names = description.channel_names ?? description.modality ?? {};
  const channels = "json" in by ? channelsOf(names, where) : new Map(by.order.entries());
  const folder = new Folder(paths, name, where);
  const cases = nnunetCases("", channels, folder).sort(byId);
  const { problems, warnings } = folder;
  append(problems, clashingIds(cases, name));
  if ("order" in by) {
    const listed = by.order.map((modality, i) => `000${i} is ${modality}`).join(", ");
    warnings.push(`${name}: no dataset.json names the channels, taken in the model's order: ${listed}`);
  }
  const labels = description.labels ?? {};
  const convention = await collectProblems(problems, () => given ?? conventionOf(labels, where));
  const why = {
    layout: `images are named CASE_0000.nii.gz${"json" in by ? ", with dataset.json in the folder above" : ""}`,
    convention: given ? "set by --labels" : `${where} names the labels ${JSON.stringify(labels)}`,
  };
  const found = { layout: "nnunet", cases, newCases: [], byNames: false } as const;
  return {
    ...found,
    newCases: [],
    labels: new Map(),
    convention: convention ?? null,
    why,
    problems,
    warnings,
  };
}

/** The dataset.json that names channels, or their order. */
type ChannelSource = { json: Uint8Array } | { order: readonly Modality[] };

function parse(json: Uint8Array, where: string): Description {
  const result = v.safeParse(Description, jsonOf(json, where));
  if (result.success) return result.output;
  const kinds = new Map<string, string[]>(); // issues that differ in the number of an entry alone
  for (const issue of result.issues) {
    const line = `${v.getDotPath(issue) ?? "the file"}: ${issue.message}`;
    const kind = line.replace(/\d+/g, "N");
    put(kinds, kind, line);
  }
  const more = (count: number) => (count ? ` (and ${count} more entries like this)` : "");
  throw new DataError([...kinds.values()].map((lines) => `${where}: ${lines[0]}${more(lines.length - 1)}`));
}

/** Returns the modality of each channel. */
function channelsOf(channels: Record<string, string>, where: string): Channels {
  const found = new Map<number, Modality>();
  const spelt = new Map<Modality, string>();
  for (const [channel, spelling] of Object.entries(channels)) {
    const modality = modalityNamed(spelling);
    if (!modality) continue; // a channel that no model here uses
    const other = spelt.get(modality);
    if (other)
      throw new DataError(`${where}: expected one channel of ${modality}, got ${other} and ${spelling}`);
    spelt.set(modality, spelling);
    found.set(Number(channel), modality);
  }
  if (found.size) return found;
  const got = Object.values(channels).join(", ") || "none";
  throw new DataError(`${where}: expected channels named T1, T1ce (or T1Gd), T2 or FLAIR, got ${got}`);
}

function byId(a: CaseFiles, b: CaseFiles): number {
  return a.id < b.id ? -1 : 1;
}

/** Returns the convention in which the labels have the meanings that dataset.json gives them. */
function conventionOf(labels: NonNullable<Description["labels"]>, where: string): LabelConvention {
  const named = classesByName(labels);
  const fitting = CONVENTION_NAMES.filter((name) => {
    const classes = Object.entries(LABEL_CONVENTIONS[name]).filter(([value]) => value !== "0");
    return classes.length === named.size && classes.every(([value, c]) => named.get(Number(value)) === c);
  });
  if (fitting.length === 1) return fitting[0]!;
  const expected = `expected labels named oedema, necrotic core and enhancing tumour`;
  throw new DataError(
    `${where}: ${expected}, got ${JSON.stringify(labels)}: ${labelFlags(CONVENTION_NAMES)}`,
  );
}

/**
 * Returns the network class of each label value but 0, from exclusive labels or from nnU-Net's nested
 * regions; a resection cavity has class 0.
 */
function classesByName(labels: NonNullable<Description["labels"]>): Map<number, number> {
  const entries = Object.entries(labels).map(([key, value]): [string, number[]] =>
    typeof value === "string" && /^\d+$/.test(key)
      ? [value, [Number(key)]]
      : [key, [value].flat().map(Number)],
  );
  const classes = new Map<number, number>();
  const regions = new Map<string, number[]>();
  for (const [spelling, values] of entries) {
    const plain = spelling.toLowerCase().replace(/[^a-z]/g, "");
    const c = classOf(plain);
    if (/^(whole|wt$)/.test(plain)) regions.set("WT", values);
    else if (/^(tumou?rcore|core$|tc$)/.test(plain) && values.length > 1) regions.set("TC", values);
    else if (values.length === 1 && c !== undefined) classes.set(values[0]!, c);
  }
  const [whole, core] = [regions.get("WT") ?? [], regions.get("TC") ?? []];
  const oedema = whole.filter((value) => !core.includes(value));
  const setOthers = (values: number[], c: number) => {
    for (const value of values) if (!classes.has(value)) classes.set(value, c);
  };
  if ([...classes.values()].includes(1)) setOthers(core, 2);
  if (core.length) setOthers(oedema, 3);
  return classes;
}

function classOf(plain: string): 0 | 1 | 2 | 3 | undefined {
  if (/resection|cavity|^rc$/.test(plain)) return 0;
  if (/o?edema|snfh|hyperintens|peritumou?ral|^ed$/.test(plain)) return 3;
  if (/necro|nonenhanc|cyst|^ncr|^netc?$|^cc$/.test(plain)) return 2;
  if (/enhanc|^et$/.test(plain)) return 1;
  return undefined;
}
