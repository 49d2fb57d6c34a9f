// Folders with a dataset.json: nnU-Net's (imagesTr/CASE_0000.nii.gz, one file per channel) and the Medical
// Segmentation Decathlon's (imagesTr/CASE.nii.gz, all channels in one 4-D file). dataset.json names the
// modalities and labels.

import * as v from "valibot";
import { collectProblems, DataError } from "../errors.ts";
import { LABEL_CONVENTIONS, CONVENTION_NAMES, type LabelConvention } from "./labels.ts";
import { baseName, type CaseFiles, clashingIds, confined, type Modality, type Survey } from "./source.ts";

const Names = v.record(v.string(), v.string());
const Description = v.looseObject({
  channel_names: v.optional(Names),
  modality: v.optional(Names),
  labels: v.optional(v.record(v.string(), v.union([v.number(), v.string(), v.array(v.number())]))),
  training: v.optional(v.array(v.looseObject({ image: v.string(), label: v.optional(v.string()) }))),
});
type Description = v.InferOutput<typeof Description>;

/** Spellings of each modality, in lower case, with letters and digits only. */
const SPELLINGS: Readonly<Record<Modality, readonly string[]>> = {
  t1: ["t1", "t1w", "t1n", "t1native", "t1weighted"],
  t2: ["t2", "t2w", "t2weighted"],
  t1ce: ["t1ce", "t1gd", "t1c", "t1wce", "t1cew", "t1wgd", "cet1", "cet1w", "t1post", "t1contrast"],
  flair: ["flair", "t2flair", "t2f", "t2wflair", "flairt2"],
};

/** Returns the modality with this name, in any of its usual spellings. */
export function modalityNamed(spelling: string): Modality | undefined {
  const plain = spelling.toLowerCase().replace(/[^a-z0-9]/g, "");
  return (Object.keys(SPELLINGS) as Modality[]).find((key) => SPELLINGS[key].includes(plain));
}

const LONGEST = 16 << 20; // bytes of a dataset.json
const CHANNEL_FILE = /^(.+)_(\d{4})\.nii(\.gz)?$/;
const VOLUME_FILE = /^(.+?)\.nii(\.gz)?$/;

/**
 * Returns the cases of a folder with the files `paths` and a dataset.json with the content `json`, and the
 * problems with them. Throws DataError if dataset.json does not name the channels.
 */
export async function surveyDatasetJson(
  json: Uint8Array,
  paths: readonly string[],
  { name, given }: { name: string; given?: LabelConvention | undefined },
): Promise<Survey> {
  const where = `${name}/dataset.json`;
  const description = parse(json, where);
  const channels = description.channel_names ?? description.modality;
  if (!channels)
    throw new DataError(`${where}: expected "channel_names" (nnU-Net) or "modality", got neither`);
  const modalities = modalitiesOf(channels, where);
  const problems: string[] = [];
  const images = paths.filter((path) => /^imagesTr\/[^/]+\.nii(\.gz)?$/.test(path));
  const numbered = images.filter((path) => CHANNEL_FILE.test(baseName(path)));
  const layout = description.channel_names || numbered.length ? "nnunet" : "msd";
  if (numbered.length && numbered.length < images.length) {
    const other = images.find((path) => !CHANNEL_FILE.test(baseName(path)));
    const expected = `expected all images in imagesTr, or no image, to be named CASE_0000.nii.gz`;
    problems.push(`${name}: ${expected}, got ${numbered[0]} and ${other}: rename one kind`);
  }
  const files = new Set(paths);
  const cases =
    layout === "nnunet"
      ? nnunetCases(numbered, files, modalities, problems)
      : await msdCases({ description, images, files, modalities, where, problems });
  cases.sort((a, b) => (a.id < b.id ? -1 : 1));
  problems.push(...clashingIds(cases, name));
  const labels = description.labels ?? {};
  const convention = given ?? (await collectProblems(problems, () => conventionOf(labels, where))) ?? null;
  const listed = JSON.stringify(channels);
  const why = {
    layout:
      layout === "nnunet"
        ? `dataset.json names the channels ${listed}, one file each`
        : `dataset.json names the channels ${listed}, all in one 4-D file per case`,
    convention: given ? "set by --labels" : `dataset.json names the labels ${JSON.stringify(labels)}`,
  };
  return { layout, convention, cases, why, problems };
}

function parse(json: Uint8Array, where: string): Description {
  if (json.length > LONGEST)
    throw new DataError(`${where}: expected at most ${LONGEST} bytes, got ${json.length}`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(json));
  } catch (error) {
    throw new DataError(`${where}: expected JSON, got text that is not valid: ${(error as Error).message}`);
  }
  const result = v.safeParse(Description, value);
  if (result.success) return result.output;
  throw new DataError(
    result.issues.map((issue) => `${where}: ${v.getDotPath(issue) ?? "the file"}: ${issue.message}`),
  );
}

/** Returns the modality of each channel. */
function modalitiesOf(channels: Record<string, string>, where: string): Map<number, Modality> {
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

function nnunetCases(
  images: string[],
  files: Set<string>,
  modalities: Map<number, Modality>,
  problems: string[],
): CaseFiles[] {
  const cases = new Map<string, CaseFiles>();
  for (const path of images) {
    const [, id, channel] = CHANNEL_FILE.exec(baseName(path)) as unknown as [string, string, string];
    const found = cases.get(id) ?? { id, images: {} };
    cases.set(id, found);
    const modality = modalities.get(Number(channel));
    const other = modality && found.images[modality];
    if (other)
      problems.push(`case ${id}: expected one ${modality} file, got ${other.path} and ${path}: remove one`);
    else if (modality) found.images[modality] = { path, channel: 0 };
    const label = [`labelsTr/${id}.nii.gz`, `labelsTr/${id}.nii`].find((candidate) => files.has(candidate));
    if (label) found.label = label;
  }
  return [...cases.values()];
}

async function msdCases({
  description: { training },
  images,
  files,
  modalities,
  where,
  problems,
}: {
  description: Description;
  images: string[];
  files: Set<string>;
  modalities: Map<number, Modality>;
  where: string;
  problems: string[];
}): Promise<CaseFiles[]> {
  const listed =
    training ?? images.map((image) => ({ image, label: image.replace("imagesTr/", "labelsTr/") }));
  const cases: CaseFiles[] = [];
  for (const entry of listed) {
    const inside = (path?: string) =>
      collectProblems(problems, () => (path === undefined ? undefined : confined(path, where)));
    const image = await inside(entry.image);
    const label = await inside(entry.label);
    for (const path of training ? [image, label] : []) {
      if (path && !files.has(path))
        problems.push(`${where}: expected the listed file ${path}, got none: add it, or remove its entry`);
    }
    if (image === undefined || !files.has(image)) continue;
    const found: CaseFiles = { id: VOLUME_FILE.exec(baseName(image))?.[1] ?? baseName(image), images: {} };
    for (const [channel, modality] of modalities) found.images[modality] = { path: image, channel };
    if (label && files.has(label)) found.label = label;
    cases.push(found);
  }
  return cases;
}

/** Returns the convention in which the labels have the meanings that dataset.json gives them. */
function conventionOf(labels: NonNullable<Description["labels"]>, where: string): LabelConvention {
  const classes = classesByName(labels);
  const fitting = CONVENTION_NAMES.filter((name) => {
    const table = LABEL_CONVENTIONS[name];
    return classes.size === 3 && [...classes].every(([c, value]) => table[value] === c);
  });
  if (fitting.length === 1) return fitting[0]!;
  const expected = `expected labels named oedema, necrotic core and enhancing tumour`;
  const remedy = "use --labels brats, --labels brats2023 or --labels msd";
  throw new DataError(`${where}: ${expected}, got ${JSON.stringify(labels)}: ${remedy}`);
}

/** Returns the label value of each class 1, 2, 3, from exclusive labels or from nnU-Net's nested regions. */
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
    if (/^(whole|wt$)/.test(plain)) regions.set("WT", values);
    else if (/^(tumou?rcore|core$|tc$)/.test(plain) && values.length > 1) regions.set("TC", values);
    else if (values.length === 1) {
      const c = classOf(plain);
      if (c) classes.set(c, values[0]!);
    }
  }
  const only = (from: string, without: number[]) =>
    regions.get(from)?.filter((value) => !without.includes(value)) ?? [];
  const core = regions.get("TC");
  const [oedema, ...moreOedema] = core ? only("WT", core) : [];
  const [necrosis, ...moreNecrosis] = classes.has(1) ? only("TC", [classes.get(1)!]) : [];
  if (oedema !== undefined && !moreOedema.length) classes.set(3, oedema);
  if (necrosis !== undefined && !moreNecrosis.length) classes.set(2, necrosis);
  return classes;
}

function classOf(plain: string): 1 | 2 | 3 | undefined {
  if (/o?edema|snfh|peritumou?ral|^ed$/.test(plain)) return 3;
  if (/necro|nonenhanc|^ncr|^net$/.test(plain)) return 2;
  if (/enhanc|^et$/.test(plain)) return 1;
  return undefined;
}
