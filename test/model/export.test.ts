// Checkpoints in other formats: ONNX, where onnxruntime gets our logits, and safetensors of the network
// alone.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type * as Runtime from "onnxruntime-common";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exportModel, type ExportOptions } from "../../cli/export.ts";
import { readModel } from "../../cli/files/models.ts";
import { PREPARATION } from "../../data/preparation/preprocess.ts";
import { tensor } from "../../engine/index.ts";
import { cardMetadata } from "../../model/files/card.ts";
import { encodeSafetensors } from "../../model/files/safetensors.ts";
import { FEATURES } from "../../model/losses/losses.ts";
import { forward } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import { vnetToOnnx } from "../../model/files/onnx.ts";
import { integer, joined, message, single, text } from "../../model/files/protobuf.ts";
import { encodeSealed } from "../../model/files/seal.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";
import { vnetShapes } from "../../model/networks/layers.ts";
import type { ModelCard } from "../../trainer/stages/stage.ts";
import { close, device } from "../support/gradcheck.ts";
import { normal, tensorsOf, weights } from "../support/published/weights.ts";
import { failure, silenced } from "../support/quietly.ts";

const test = suite("export");
const folder = mkdtempSync(join(tmpdir(), "export-"));
test.after(() => rmSync(folder, { recursive: true }));

const TOLERANCE = 1e-4; // of the largest logit
const NETWORK: VnetConfig = {
  modalities: 4,
  classes: 4,
  filters: 3,
  levels: 3,
  norm: "instance",
  deepSupervision: false,
};

/** A devDependency that some systems have no build of, and whose package names no types. */
const RUNTIME: string = "onnxruntime-node";
const runtime = await import(RUNTIME).then(
  (module: { default: typeof Runtime }) => module.default,
  (error: Error) =>
    void console.log(`SKIPPED: onnxruntime gets our logits from ONNX models: ${error.message}`),
);

if (runtime) {
  const { InferenceSession, Tensor } = runtime;
  /** The outputs of a model in onnxruntime. */
  const infer = async (model: Uint8Array, shape: readonly number[], data: Float32Array) => {
    const session = await InferenceSession.create(model, { logSeverityLevel: 4 }); // errors come as errors
    const outputs = await session.run({ image: new Tensor("float32", data, shape) });
    return Object.entries(outputs).map(([name, { dims, data }]) => ({
      name,
      dims: [...dims],
      data: data as Float32Array,
    }));
  };

  for (const config of [
    NETWORK,
    { ...NETWORK, modalities: 1, norm: "batch" },
    { ...NETWORK, modalities: 2, levels: 2, filters: 1 },
    { ...NETWORK, modalities: 1, levels: 5, filters: 2, norm: "batch", deepSupervision: true },
  ] as const satisfies VnetConfig[]) {
    const { modalities, filters, levels, norm } = config;
    test(`onnxruntime gets our logits and features: ${norm} norm, ${levels} levels, odd sizes, two samples`, async () => {
      const step = 2 ** (levels - 1);
      const values = weights(config, 4);
      const model = vnetToOnnx({ config, values }, { features: true });
      const params = new Params(device, { values });
      for (const [samples, ...edges] of [
        [2, 3, 1, 5],
        [1, 1, 2, 1],
      ]) {
        const shape = [samples!, modalities, ...edges.map((n) => n * step)];
        const data = image(shape).map((v) => 2 * v + 1);
        const x = tensor(device, shape, data);
        const own = forward({ params, config }, x, { mode: "eval", taps: [FEATURES] });
        const [logits, features] = await infer(model, shape, data);
        assert.equal([logits!.name, logits!.dims], ["logits", own.logits.shape]);
        assert.equal([features!.name, features!.dims], ["features", [samples, filters, ...shape.slice(2)]]);
        close(logits!.data, await own.logits.read(), TOLERANCE, "logits");
        close(features!.data, await own.taps[FEATURES]!.read(), TOLERANCE, "features");
      }
      params.free();
    });
  }

  test("a model of one size takes that size alone, with any number of samples", async () => {
    const model = vnetToOnnx({ config: NETWORK, values: weights(NETWORK) }, { size: [8, 4, 12] });
    const given = async (shape: number[]) => infer(model, shape, image(shape));
    const outputs = await given([3, 4, 8, 4, 12]);
    assert.equal(
      outputs.map(({ name, dims }) => [name, ...dims]),
      [["logits", 3, 4, 8, 4, 12]],
    );
    const error = await failure(() => given([1, 4, 8, 8, 8]));
    assert.match(error.message, /invalid dimensions|Got: 8 Expected/i);
  });
}

test("protocol buffers are written as the format's own examples", () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  assert.is(hex(integer(1, 150)), "089601");
  assert.is(hex(text(2, "testing")), "120774657374696e67");
  assert.is(hex(message(3, integer(1, 150))), "1a03089601");
  assert.is(hex(single(2, 1)), "150000803f");
  assert.is(hex(integer(20, 2 ** 35)), "a001808080808001");
  assert.is(hex(joined([integer(1, 0), integer(1, 127), integer(1, 128)])), "0800087f088001");
  assert.throws(() => integer(1, -1), /at least 0, got -1/);
});

test("the command writes the model with metadata for its use, and replaces no file unasked", async () => {
  const { model, card } = await checkpoint("one");
  const output = join(folder, "one.onnx");
  const ran = command("--model", model, "--output", output, "--patch", "8,8,4");
  assert.equal([ran.status, ran.stderr], [0, ""]);
  const { size } = statSync(output);
  const seen = "a V-Net with 4 modalities, 3 filters, 3 levels and instance norm, of t1, t2, t1ce, flair";
  assert.is(ran.stdout, `${output}: ${seen}; ${size} bytes\n`);
  assert.equal(metadataOf(output), {
    modalities: "t1,t2,t1ce,flair",
    norm: "instance",
    labels: "msd",
    patch: "8,8,4",
    stage: "teacher",
    classes: "background,enhancing tumour,necrotic core,oedema",
    background: "zero",
    crop: "brain",
    padding: "background",
    window: "gaussian",
  });
  const graph = fieldsOf(fieldsOf(readFileSync(output)).find(([number]) => number === 7)![1]);
  const names = graph
    .filter(([n]) => n === 5)
    .map(([, bytes]) => textOf(fieldsOf(bytes).find(([n]) => n === 8)!));
  assert.equal(names, [...vnetShapes(card.network).keys()]);

  const again = command("--model", model, "--output", output);
  assert.is(again.status, 2);
  assert.is(
    again.stderr.split("\n")[0],
    `${output}: exists already: choose another --output, or replace it with --overwrite`,
  );
  assert.is(statSync(output).size, size);
  await exported({ model, output, overwrite: true, features: true });
  assert.ok(statSync(output).size > size);
});

test("a model that takes any of its contrasts names all its channels, and says how to fill them", async () => {
  const { model } = await checkpoint("any", {}, { modalities: ["t1ce", "flair"], any: true });
  const output = join(folder, "any.onnx");
  assert.match(
    (await exported({ model, output }))[0]!,
    /a V-Net with 2 modalities, .*, of any of t1ce, flair \(input channels: t1ce, flair, has t1ce, has flair\); \d+ bytes$/,
  );
  const { modalities, channels, availability } = metadataOf(output);
  assert.equal([modalities, channels], ["t1ce,flair", "t1ce,flair,has t1ce,has flair"]);
  assert.match(availability!, /"has X" is 1 in every voxel, padding too, if the case has X; otherwise/);
});

test("safetensors hold the network's tensors and its card, and nothing that only training needs", async () => {
  const moment = { shape: [3], data: new Float32Array(3) };
  const { model, card } = await checkpoint("latest", { "optimizer.mean.block_one.conv.0.weight": moment });
  const output = join(folder, "small.safetensors");
  await exported({ model, output });
  assert.ok("optimizer.mean.block_one.conv.0.weight" in tensorsOf(model));
  assert.equal(tensorsOf(output), { ...weights(NETWORK) });
  const found = await readModel(output);
  const { deepSupervision: _, ...network } = NETWORK; // a card omits it where it is false
  assert.equal([found.card, found.network], [{ ...card, network }, network]);
});

test("a published checkpoint is exported too: the user names its modality, and unknown metadata is omitted", async () => {
  const model = join(folder, "published.safetensors");
  writeFileSync(model, encodeSafetensors(weights({ ...NETWORK, modalities: 1, norm: "batch" }), {}));
  const output = join(folder, "published.onnx");
  assert.match(
    await refused({ model, output }),
    /^\/published\.safetensors: does not say which modality it sees/,
  );
  const said = await exported({ model, output, modality: "t2" });
  assert.match(said.join("\n"), /of t2; \d+ bytes\n.*does not record how its input was prepared, so neither/);
  assert.equal(Object.keys(metadataOf(output)), ["modalities", "classes", "norm"]);
});

test("options that do not fit are refused, and nothing is written", async () => {
  const { model } = await checkpoint("fine");
  const output = join(folder, "none.onnx");
  assert.match(
    await refused({ model, output: join(folder, "a.pth") }),
    /^--output \/a\.pth: expected the ending/,
  );
  const safetensors = { model, output: join(folder, "a.safetensors") };
  assert.is(
    await refused({ ...safetensors, patch: "8" }),
    "--patch: expected with --format onnx, got safetensors",
  );
  assert.is(
    await refused({ ...safetensors, features: true }),
    "--features: expected with --format onnx, got safetensors",
  );
  assert.match(await refused({ model, output, patch: "9" }), /^--patch: 3 levels need three multiples of 4/);
  assert.match(
    await refused({ model: join(folder, "no"), output }),
    /^\/no: expected a checkpoint, got no file$/,
  );
  assert.equal([output, safetensors.output].map(existsSync), [false, false]);
});

test.run();

/** A checkpoint of a teacher, with `more` tensors beside its network's, and changes of its card. */
async function checkpoint(
  name: string,
  more = {},
  changes: Partial<ModelCard> = {},
): Promise<{ model: string; card: ModelCard }> {
  const model = join(folder, `${name}.safetensors`);
  const card: ModelCard = {
    ...PREPARATION,
    network: NETWORK,
    modalities: ["t1", "t2", "t1ce", "flair"],
    patch: [8, 8, 4],
    labels: "msd",
    window: "gaussian",
    stage: "teacher",
    epoch: 1,
    step: 1,
    seed: 1,
    ...changes,
  };
  writeFileSync(model, await encodeSealed({ ...weights(NETWORK), ...more }, cardMetadata(card)));
  return { model, card };
}

/** Random voxels. */
function image(shape: readonly number[]): Float32Array {
  return normal(
    shape.reduce((a, b) => a * b, 1),
    7,
  );
}

/** The lines that the command prints. */
function exported(options: ExportOptions): Promise<string[]> {
  return silenced(() => exportModel(options));
}

async function refused(options: ExportOptions): Promise<string> {
  return (await failure(() => exported(options))).message.replaceAll(folder, "");
}

function command(...flags: string[]): { status: number | null; stdout: string; stderr: string } {
  const script = fileURLToPath(new URL("../../cli/export.js", import.meta.url));
  return spawnSync(process.execPath, [script, ...flags], { encoding: "utf8" });
}

/** The metadata of an ONNX model. */
function metadataOf(output: string): Record<string, string> {
  const fields = fieldsOf(readFileSync(output)).filter(([number]) => number === 14);
  return Object.fromEntries(fields.map(([, bytes]) => fieldsOf(bytes).map(textOf))) as Record<string, string>;
}

/** The fields of a protocol buffer that hold bytes. */
function fieldsOf(bytes: Uint8Array): [number: number, bytes: Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    if (wire === 2) {
      const length = varint();
      found.push([Math.floor(tag / 8), bytes.subarray(at, at + length)]);
      at += length;
    } else if (wire === 0) varint();
    else at += 4;
  }
  return found;
}

function textOf([, bytes]: [number, Uint8Array]): string {
  return new TextDecoder().decode(bytes);
}
