// The settings of a stage that come from a file: a run's config.json, or a training state from elsewhere.

import { UsageError } from "../../model/settings/errors.ts";
import { type FileSettings, shown } from "../../trainer/settings/check.ts";
import { settingsIn } from "../files/imported.ts";
import { ofThisStage, readSettings } from "../terminal/configFile.ts";

/** The flags that decide on the file, and on what it lacks. */
interface Given extends Pick<FileSettings, "stage" | "split" | "unlabelled"> {
  config?: string;
  resume?: boolean;
  resumeFrom?: string;
}

/** Settings whose paths a training state does not keep. */
const PLACES = [
  ["split", "split"],
  ["unlabelled", "scans without labels"],
] as const;

/** The settings in the file of --config or --resume-from, if one is given. */
export async function fileSettings({
  config,
  resumeFrom,
  resume,
  stage,
  ...given
}: Given): Promise<FileSettings> {
  if (resumeFrom === undefined)
    return config === undefined ? {} : ofThisStage(await readSettings(config), stage);
  const other = config !== undefined ? "--config" : resume ? "--resume" : null;
  if (other) throw new UsageError(`--resume-from, ${other}: use one of them, not both`);
  const settings = await settingsIn(resumeFrom);
  for (const [name, what] of PLACES) {
    if (settings[name] === undefined || given[name] !== undefined) continue;
    throw new UsageError(
      `--resume-from ${resumeFrom}: was trained with the ${what} ${shown(settings[name])}, whose folder is not known here: ` +
        `give its path with --${name}`,
    );
  }
  if (stage === undefined || settings.stage === undefined || settings.stage === stage) return settings;
  throw new UsageError(`--stage ${stage}: ${resumeFrom} holds the training of a ${settings.stage}`);
}
