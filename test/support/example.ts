// The page's built-in example and its student, as Node has them.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openDataset } from "../../data/datasets/datasets.ts";
import { type Input, INPUT } from "../../data/preparation/input.ts";
import { phantomSource } from "../../data/phantom/files.ts";
import { loadCase } from "../../data/check/loadCase.ts";
import type { Case } from "../../data/preparation/preprocess.ts";
import { decodeModel, type StoredModel } from "../../model/files/card.ts";
import type { Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { device } from "./gradcheck.ts";

/** The file of the example's student. */
export const STUDENT = join(import.meta.dirname, "../../web/example/student_t1ce.safetensors");

export interface Example {
  prepared: Case;
  /** On the tests' device: its parameters are the caller's to free. */
  network: Network;
  card: NonNullable<StoredModel<Input>["card"]>;
}

/** The example's one case, prepared for its student. */
export async function openExample(): Promise<Example> {
  const source = phantomSource({ seed: 2, cases: 1, size: [64, 64, 64] });
  const dataset = await openDataset(source);
  const model = await decodeModel(await readFile(STUDENT), STUDENT, INPUT);
  const card = model.card!;
  const { background, crop, padding } = card;
  const prepared = await loadCase(source, dataset, dataset.cases[0]!, card.modalities, {
    background,
    crop,
    padding,
    labels: false,
  });
  return { prepared, network: { params: new Params(device, model), config: model.network }, card };
}
