// Checkpoints to PyTorch and back. The network there has the names of the published code:
// published/network.py.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readModel, saveModel, upload } from "../../cli/files/models.ts";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { tensor } from "../../engine/index.ts";
import { encodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import { forward } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { VNET, type VnetConfig } from "../../model/networks/vnet.ts";
import type { ModelCard } from "../../trainer/stages/stage.ts";
import { close, device } from "../support/gradcheck.ts";
import { normal, tensorsOf, weights } from "../support/published/weights.ts";

const test = suite("pytorch");
const folder = mkdtempSync(join(tmpdir(), "pytorch-"));
test.after(() => rmSync(folder, { recursive: true }));

const TOLERANCE = 2e-5; // between two float32 evaluations of the whole network

const python = ["python3", "/usr/bin/python3"].find(
  (command) => spawnSync(command, ["-c", "import torch, numpy"]).status === 0,
);
if (!python) console.log("SKIPPED: checkpoints to PyTorch and back: no python3 with torch and numpy");

for (const norm of ["batch", "instance"] as const) {
  const title = `PyTorch gets our logits from our checkpoint, as does the script of twenty lines: ${norm} norm`;
  const ours = async () => {
    const place = makeFolder(`ours-${norm}`);
    const config: VnetConfig = { ...VNET, modalities: 1, filters: 2, norm };
    const params = new Params(device, { values: weights(config, 6) });
    const x = { shape: [1, 1, 32, 32, 32], data: normal(32 ** 3, 7) };
    const logits = await run(params, config, x);
    const card: ModelCard = {
      ...PREPARATION,
      network: config,
      modalities: ["t1"],
      patch: [32, 32, 32],
      window: "gaussian",
      labels: "brats",
      stage: "student_t1",
      epoch: 1,
      step: 1,
      seed: 1,
    };
    await saveModel(join(place, "model.safetensors"), params, card);
    params.free();
    writeFileSync(join(place, "x.safetensors"), encodeSafetensors({ x }, {}));
    for (const how of ["logits", "script"]) {
      inPython(place, how, "model.safetensors", "x.safetensors", "logits.safetensors");
      close(logits, valuesOf(place, "logits"), TOLERANCE, how);
    }
  };

  const back = `a .pth from PyTorch, converted as the documentation shows, gives PyTorch's logits: ${norm} norm`;
  const theirs = async () => {
    const place = makeFolder(`theirs-${norm}`);
    inPython(place, "make", norm);
    inPython(place, "convert");
    const model = await readModel(join(place, "best_model.safetensors"));
    assert.equal([model.card, model.network], [null, { ...VNET, modalities: 4, filters: 2, norm }]);
    const { params, config } = upload(device, model);
    const { x } = tensorsOf(join(place, "x.safetensors"));
    close(await run(params, config, x!), valuesOf(place, "logits"), TOLERANCE, "logits");
    params.free();
  };
  if (python) {
    test(title, ours);
    test(back, theirs);
  }
}

const script = fileURLToPath(new URL("../../docs/python/load.py", import.meta.url));
if (python) {
  test("the script itself prints the logits' shape, at other levels and modalities too", () => {
    const config: VnetConfig = { ...VNET, modalities: 3, levels: 3, filters: 2 };
    const place = makeFolder("script");
    writeFileSync(join(place, "m.safetensors"), encodeSafetensors(weights(config), {}));
    const { stdout, stderr } = spawnSync(python, [script, "m.safetensors"], { cwd: place, encoding: "utf8" });
    assert.is(stdout, "torch.Size([1, 4, 32, 32, 32])\n", stderr);
  });
}

test("the script has at most twenty lines", () => {
  assert.ok(readFileSync(script, "utf8").trimEnd().split("\n").length <= 20);
});

test.run();

function makeFolder(name: string): string {
  const place = join(folder, name);
  mkdirSync(place);
  return place;
}

function inPython(cwd: string, ...args: string[]): void {
  const script = fileURLToPath(new URL("../support/published/network.py", import.meta.url));
  const { status, stderr } = spawnSync(python!, [script, ...args], { cwd, encoding: "utf8" });
  assert.is(status, 0, stderr);
}

/** The values of the tensor `name` in the file of that name. */
function valuesOf(place: string, name: string): Float32Array {
  return tensorsOf(join(place, `${name}.safetensors`))[name]!.data as Float32Array;
}

/** The logits of a network in use. */
async function run(params: Params, config: VnetConfig, { shape, data }: StoredTensor): Promise<Float32Array> {
  const x = tensor(device, shape, data as Float32Array);
  return forward({ params, config }, x, { mode: "eval" }).logits.read();
}
