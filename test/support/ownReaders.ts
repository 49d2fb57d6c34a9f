// The readers of all files that the program writes and reads back.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readEvidence } from "../../cli/files/evidence.ts";
import { readInputs } from "../../cli/files/inputs.ts";
import { phantomVersion } from "../../cli/files/phantomFolder.ts";
import { FILES, readConfig } from "../../cli/files/stageFolder.ts";
import { readSplit } from "../../cli/files/storedSplit.ts";
import { readSummary } from "../../cli/prediction/evaluation.ts";
import { readPostprocessing } from "../../cli/prediction/postprocessing.ts";
import { readRecord, RECORD } from "../../cli/prediction/predictionRecord.ts";
import { PRESENCE, readPresence } from "../../cli/prediction/presenceFiles.ts";
import { readAgainst } from "../../cli/prediction/subsetAgainst.ts";
import { readSubsetScores } from "../../cli/prediction/subsetScores.ts";
import { readTranslations, TRANSLATIONS } from "../../cli/prediction/translationFiles.ts";
import { parseManifest } from "../../data/datasets/manifest.ts";

/** The reader of each file, which is called with the file's folder. */
export const READERS: Readonly<Record<string, (folder: string) => Promise<unknown>>> = {
  [FILES.config]: readConfig,
  [FILES.split]: (folder) => readSplit(folder),
  [FILES.inputs]: readInputs,
  [FILES.summary]: readSummary,
  [FILES.manifest]: async (folder) => {
    const path = join(folder, FILES.manifest);
    return Promise.resolve().then(() => parseManifest(readFileSync(path, "utf8"), path));
  },
  [FILES.postprocessing]: (folder) => readPostprocessing(join(folder, FILES.best)),
  [FILES.subsetScores]: (folder) => readSubsetScores(join(folder, FILES.best)),
  [PRESENCE.json]: readPresence,
  [TRANSLATIONS.json]: readTranslations,
  [RECORD]: readRecord,
  "subsets.json": readAgainst,
  "phantom.json": phantomVersion,
  "arm.json": (folder) => readEvidence(folder, "arm"),
};
