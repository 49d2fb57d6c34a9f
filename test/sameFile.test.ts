// One file for the command line and the page: what train.js saves within a training, the page's stage goes on from, to
// the very bits that the command line ends with on the same device.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { folderSource } from "../cli/folderSource.ts";
import { makePhantom } from "../cli/phantomFolder.ts";
import { FILES } from "../cli/stageFolder.ts";
import { openDataset } from "../data/datasets.ts";
import { decodeTraining } from "../model/trainingState.ts";
import { loadStage, Stage } from "../web/stage.ts";
import type { TrainSettings } from "../web/trainProtocol.ts";
import { device } from "./gradcheck.ts";
import { silenced, trainQuietly } from "./quietly.ts";

const folder = mkdtempSync(join(tmpdir(), "same-file-"));
const [data, out] = [join(folder, "data"), join(folder, "run")];
const test = suite("same file");
test.after(() => rmSync(folder, { recursive: true }));

const NETWORK = { filters: 2, levels: 2, batch: 1, epochs: 2, lr: 3e-3, seed: 4, validateEvery: 2 } as const;
const PATCH = [16, 16, 16] as const;

test("the page's stage goes on from the command line's file, and both end with the same tensors", async () => {
  await silenced(() => makePhantom({ out: data, cases: 8, size: 20, seed: 5 }));
  await trainQuietly({
    ...{ ...NETWORK, stage: "teacher", data, out, patch: PATCH, saveEvery: "1", workers: 0 },
  });
  const read = async (file: string) => decodeTraining(readFileSync(join(out, "teacher", file)), file);
  const [last, before] = [await read(FILES.latest), await read(FILES.previous)];
  assert.is(last.position.epoch, 3);
  assert.is(before.position.epoch, 2);
  assert.ok(before.position.done > 0, "within the epoch");

  const settings: TrainSettings = {
    ...{ stages: "teacher", modality: "t1ce", method: "none", teacher: null },
    ...{ ...NETWORK, patch: PATCH },
  };
  const source = await folderSource(data);
  const cases = await loadStage({ source, dataset: await openDataset(source) }, "teacher", settings, null);
  const stage = new Stage(device, { name: "teacher", settings, cases, guide: null, state: before });
  let steps = 0;
  for await (const { type } of stage.trainer.run()) steps += Number(type === "step");
  assert.is(steps, stage.stepsPerEpoch - before.position.done);
  for (const [name, { data }] of Object.entries(await stage.params.read()))
    assert.equal([...data], [...last.network[name]!.data], name);
  stage.free();
});

test.run();
