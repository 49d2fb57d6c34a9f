// The checksums of the files that cases are predicted from. predictions.json keeps them, so that --continue
// notices another scan under the same name.

import { sha256 } from "../../data/digest.ts";
import type { Dataset, Modality, Source } from "../../data/datasets/datasets.ts";

/** The SHA-256 of each contrast's file; for a later volume of a 4-D file also its number. */
export type Inputs = Partial<Record<Modality, string>>;

/** The checksums of a data set's files, each as it was last read. */
export class InputChecksums {
  readonly #source: Source;
  readonly #images: Map<string, Dataset["cases"][number]["images"]>;
  readonly #known = new Map<string, string>();

  constructor(source: Source, { cases }: Dataset) {
    this.#source = source;
    this.#images = new Map(cases.map(({ id, images }) => [id, images]));
  }

  /** Notes a file that was read for another purpose. */
  async note(path: string, bytes: Uint8Array): Promise<void> {
    this.#known.set(path, await sha256(bytes));
  }

  /** Returns the checksum of a file of the data set. Reads it if it was not noted. */
  async file(path: string): Promise<string> {
    if (!this.#known.has(path)) await this.note(path, await this.#source.read(path));
    return this.#known.get(path)!;
  }

  /** Returns the checksums of these contrasts of a case, if it has them. Reads files that were not noted. */
  async of(id: string, modalities: readonly Modality[]): Promise<Inputs> {
    const inputs: Inputs = {};
    for (const modality of modalities) {
      const image = this.#images.get(id)?.[modality];
      if (!image) continue;
      const { path, channel } = image;
      inputs[modality] = (await this.file(path)) + (channel ? ` volume ${channel}` : "");
    }
    return inputs;
  }

  /** The contrasts of a case whose files changed since `before`, or can no longer be read. */
  async changed(id: string, before: Inputs): Promise<Modality[]> {
    const changed: Modality[] = [];
    for (const modality of Object.keys(before) as Modality[]) {
      const now = await this.of(id, [modality]).catch((): Inputs => ({ [modality]: "unreadable" }));
      if ((now[modality] ?? before[modality]) !== before[modality]) changed.push(modality);
    }
    return changed;
  }
}
