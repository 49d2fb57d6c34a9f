// Scores a stage whose network translates contrasts, on its test cases that have the true contrast.

import { join } from "node:path";
import { loadCase } from "../../data/check/loadCase.ts";
import type { CaseFiles, Modality } from "../../data/datasets/datasets.ts";
import { writeProbabilitiesLike } from "../../data/nifti/nifti.ts";
import type { CommonGrid } from "../../data/preparation/input.ts";
import { type Case, uncrop } from "../../data/preparation/preprocess.ts";
import type { Device } from "../../engine/index.ts";
import { append } from "../../engine/values.ts";
import type { Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { translator } from "../../model/networks/twoStream.ts";
import {
  loadOptions,
  networkModalities,
  stageName,
  type TrainConfig,
} from "../../trainer/settings/config.ts";
import { likeness, translateCase } from "../../trainer/stages/translation.ts";
import { casesOf, type RunData } from "../files/cases.ts";
import { writeAtomically } from "../files/files.ts";
import { isTranslator, readTranslator } from "../files/models.ts";
import { FILES } from "../files/stageFolder.ts";
import {
  type CaseTranslation,
  translationFile,
  TRANSLATIONS,
  translationSummary,
  translationText,
  writeTranslations,
} from "../prediction/translationFiles.ts";
import { emit, result } from "../terminal/console.ts";

/** The number of test cases whose translations are kept, and shown in the report. */
export const PICTURED = 3;

/**
 * Translates each test case's contrasts into each other, and writes how near they are to the true ones; does
 * nothing for a network that does not translate, and where no test case has two contrasts.
 */
export async function scoreTranslations(
  device: Device,
  config: TrainConfig,
  { source, dataset, split }: RunData,
  { orientation }: CommonGrid,
): Promise<void> {
  const folder = join(config.out, stageName(config));
  const path = join(folder, FILES.best);
  if (!split.test.length || !(await isTranslator(path))) return;
  const contrasts = networkModalities(config);
  const options = { labels: false, ...loadOptions(config), orientation };
  const load = async (files: CaseFiles) => {
    const there = contrasts.filter((name) => files.images[name]);
    return Promise.all(
      there.map(async (name) => [name, await loadCase(source, dataset, files, [name], options)] as const),
    );
  };
  const networks = await uploaded(device, path, contrasts);
  const cases: CaseTranslation[] = [];
  for (const [i, files] of casesOf(dataset, split.test).entries()) {
    const images = i < PICTURED ? join(folder, TRANSLATIONS.images) : null;
    append(cases, await scoreCase(device, networks, await load(files), { config, images }));
  }
  for (const { params } of networks.values()) params.free();
  if (!cases.length) return;
  const summary = translationSummary(cases);
  await writeTranslations(folder, summary);
  emit("translations", { stage: stageName(config), mean: summary.mean });
  summary.mean.forEach((mean) => result(translationText(mean)));
}

/** The network for each contrast to translate into. */
async function uploaded(
  device: Device,
  path: string,
  contrasts: readonly Modality[],
): Promise<Map<Modality, Network>> {
  const networks = new Map<Modality, Network>();
  for (const into of contrasts) {
    const { network, values } = await readTranslator(path, into);
    const params = new Params(device, { values });
    networks.set(into, { params, config: network, architecture: translator });
  }
  return networks;
}

/** The scores of a case in all directions; its translations are written to the folder `images`, if any. */
async function scoreCase(
  device: Device,
  networks: ReadonlyMap<Modality, Network>,
  prepared: readonly (readonly [Modality, Case])[],
  { config, images }: { config: TrainConfig; images: string | null },
): Promise<CaseTranslation[]> {
  const scores: CaseTranslation[] = [];
  for (const [from, seen] of prepared)
    for (const [into, truth] of prepared) {
      if (from === into) continue;
      const made = await translateCase(device, networks.get(into)!, seen, config);
      // Each contrast has its own crop, so they are compared in the file's grid.
      const [image, wanted, given] = [
        uncrop(made, seen),
        uncrop(truth.images, truth),
        uncrop(seen.images, seen),
      ];
      const of = (one: Float32Array) => likeness(one, wanted, given);
      scores.push({ case: seen.id, from, into, translation: of(image), source: of(given) });
      if (images === null) continue;
      const { header, size } = seen.source;
      const path = join(images, translationFile(seen.id, { from, into }));
      await writeAtomically(path, await writeProbabilitiesLike(header, image, size));
    }
  return scores;
}
