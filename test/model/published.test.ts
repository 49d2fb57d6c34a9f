// Weights from elsewhere: published ProtoKD checkpoints, which have no card but only names and shapes, as
// first weights, as a teacher, and for prediction.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readModel, saveModel, upload } from "../../cli/files/models.ts";
import { predictFolder, type PredictOptions } from "../../cli/predict.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";
import { FILES } from "../../cli/files/stageFolder.ts";
import type { TrainFlags } from "../../cli/stages/trainFlags.ts";
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from "../../model/files/safetensors.ts";
import { CheckpointError } from "../../model/errors.ts";
import { Params } from "../../model/networks/params.ts";
import { storedNetwork } from "../../model/files/published.ts";
import { initialise } from "../../model/networks/network.ts";
import { VNET, type VnetConfig } from "../../model/networks/vnet.ts";
import { vnetShapes } from "../../model/networks/layers.ts";
import type { ModelCard } from "../../trainer/stages/stage.ts";
import { device } from "../support/gradcheck.ts";
import { tensorsOf, weights } from "../support/published/weights.ts";
import { failure, silenced, trainQuietly } from "../support/quietly.ts";

const test = suite("published");
const folder = mkdtempSync(join(tmpdir(), "published-"));
const data = join(folder, "data");
const NETWORK: VnetConfig = { modalities: 1, classes: 4, filters: 2, levels: 2, norm: "instance" };
const SIZES = { patch: "16", levels: 2, filters: 2, batch: 2, epochs: 1 } as const;

test.before(async () => {
  await makePhantom({ out: data, cases: 3, size: 24, seed: 5 });
  const split = { train: ["PHANTOM_001", "PHANTOM_002"], test: ["PHANTOM_003"] };
  writeFileSync(join(data, "split.json"), JSON.stringify(split));
});
test.after(() => rmSync(folder, { recursive: true }));

const NETWORKS: VnetConfig[] = [
  NETWORK,
  { ...NETWORK, modalities: 4, norm: "batch" },
  { ...NETWORK, levels: 3, filters: 3, modalities: 2 },
  { ...NETWORK, levels: 6, filters: 1, norm: "batch" },
];

test("a network's tensors are known without a device: a forward pass makes them, in the same order", () => {
  for (const config of NETWORKS) {
    const params = new Params(device, { seed: 1 });
    const edge = 2 ** (config.levels - 1);
    initialise(device, { params, config }, [2 * edge, edge, edge]);
    const made = [...params.tensors].map(([name, t]) => `${name} [${t.shape}]`);
    assert.equal(
      [...vnetShapes(config)].map(([name, shape]) => `${name} [${shape}]`),
      made,
    );
    params.free();
  }
});

test("a file without a card is recognised by its tensors' names and shapes", () => {
  for (const config of NETWORKS) {
    const tensors = weights(config);
    const { config: found, values } = storedNetwork(tensors, "a");
    assert.equal(found, config);
    assert.equal(Object.keys(values), Object.keys(tensors));
    const dressed: Record<string, StoredTensor> = {};
    for (const [name, value] of Object.entries(tensors)) dressed[`module.${name}`] = value;
    const tracked = { shape: [], data: BigInt64Array.of(9n) };
    dressed["module.block_one.conv.1.num_batches_tracked"] = tracked;
    const same = storedNetwork(dressed, "a");
    assert.equal(same, { config, values }, "trained in parallel, batches counted");
    const state: Record<string, StoredTensor> = { ...tensors };
    const other = { shape: [2], data: Float32Array.of(1, NaN) };
    for (const name of ["role/teacher/out_conv.weight", "own/metric/student/w1", "optimizer.main/guard"])
      state[name] = other;
    assert.equal(storedNetwork(state, "a"), { config, values }, "a training state");
  }
});

test("every tensor that is missing, surplus, of another shape or not finite is named, ten of a kind", () => {
  const message = (change: (tensors: Record<string, StoredTensor>) => void) => {
    const tensors: Record<string, StoredTensor> = weights({ ...NETWORK, levels: 5, norm: "batch" });
    change(tensors);
    try {
      storedNetwork(tensors, "FILE");
    } catch (error) {
      assert.instance(error, CheckpointError);
      return (error as Error).message.split("\n  ");
    }
    throw new Error("nothing was refused");
  };
  const expected =
    "FILE: expected the tensors of a V-Net with 1 modality, 2 filters, 5 levels and batch norm:";
  const several = message((tensors) => {
    delete tensors["block_three.conv.3.weight"];
    delete tensors["out_conv.bias"];
    tensors["fc.weight"] = { shape: [1], data: Float32Array.of(1) };
    tensors["block_nine.conv.0.weight"] = { shape: [2, 2, 1, 1, 1], data: new Float32Array(4) };
    tensors["block_one.conv.1.bias"] = { shape: [2], data: Float32Array.of(0, NaN) };
    tensors["block_one.conv.1.weight"] = { shape: [2], data: Int32Array.of(1, 1) };
  });
  assert.equal(several, [
    expected,
    "missing: block_three.conv.3.weight [8,8,3,3,3], out_conv.bias [4]",
    "surplus: fc.weight [1]",
    "misshapen: block_nine.conv.0.weight: expected [2,2,3,3,3], got [2,2,1,1,1]",
    "unusable: block_one.conv.1.weight holds integers, block_one.conv.1.bias holds NaN or infinity",
  ]);
  const [, missing] = message((tensors) => {
    for (const name of Object.keys(tensors)) if (name.startsWith("block_five.")) delete tensors[name];
  });
  assert.is(missing!.split(", ").length, 10);
  assert.match(missing!, /^missing: block_five\.conv\.0\.weight \[32,32,3,3,3\], .* and 5 more$/);
  const [empty] = message((tensors) => {
    tensors["out_conv.weight"] = { shape: [4, 0, 1, 1, 1], data: new Float32Array(0) };
  });
  assert.match(empty!, /^FILE: expected the tensors of ProtoKD's V-Net/);
  const [foreign] = message((tensors) => delete tensors["out_conv.weight"]);
  assert.match(
    foreign!,
    /^FILE: expected the tensors of ProtoKD's V-Net .*, got block_one\..* and \d+ more$/,
  );
});

test("weights that do not fit the stage are refused before its data are opened", async () => {
  const of = async (flags: Partial<TrainFlags>) => {
    const error = await refusal({ stage: "student", data: join(folder, "nowhere"), ...SIZES, ...flags });
    return error.message.replaceAll(folder, "");
  };
  const init = file("init", { ...NETWORK, filters: 4, levels: 3, norm: "batch" });
  assert.is(
    await of({ method: "none", init }),
    "--init /init.safetensors: expected a V-Net with 1 modality, 2 filters, 2 levels and instance norm, got a " +
      "V-Net with 1 modality, 4 filters, 3 levels and batch norm: use --filters 4, use --levels 3, use --norm batch",
  );
  const four = file("four", { ...NETWORK, modalities: 4 });
  assert.match(
    await of({ method: "none", init: four }),
    /: give as many contrasts with --modality \(a student's\) or --teacher-modality$/,
  );
  const single = file("single", NETWORK);
  assert.match(
    await of({ stage: "teacher", init: single }),
    /^--init .*: give as many contrasts with .* --teacher-modality$/,
  );
  assert.is(
    await of({ teacher: single }),
    "--teacher /single.safetensors: expected a network of several modalities, got one of 1 channel",
  );
  const two = file("two", { ...NETWORK, modalities: 2 });
  assert.is(await of({ teacher: two }), "/two.safetensors: does not say which 2 modalities it sees");
  const five = file("five", { ...NETWORK, modalities: 4, classes: 5 });
  assert.match(
    await of({ teacher: five }),
    /^\/five.safetensors: expected the classes background, .*got 5 cla/,
  );
  assert.match(await of({ method: "none", init: single }), /nowhere: expected a folder, got nothing$/);
  assert.match(await of({ teacher: four }), /nowhere: expected a folder, got nothing$/);
});

test("a stage that starts from weights, at a learning rate of 0, ends with them", async () => {
  const init = file("start", NETWORK, 3);
  const flags = { stage: "student", method: "none", data, ...SIZES, lr: 0 } as const;
  await trainQuietly({ ...flags, init, out: join(folder, "from-file") });
  await trainQuietly({ ...flags, out: join(folder, "from-seed") });
  const end = (out: string) => tensorsOf(join(folder, out, "student_t1ce", FILES.best));
  assert.equal(end("from-file"), tensorsOf(init));
  assert.not.equal(end("from-seed"), tensorsOf(init));
});

test("a published teacher teaches, and the assumptions about it are printed once", async () => {
  const teacher = file("teacher", { ...NETWORK, modalities: 4, norm: "batch" }, 4);
  const said = await trainQuietly({ stage: "student", data, teacher, ...SIZES, out: join(folder, "taught") });
  const lines = said.filter((line) => line.includes("does not say how its input was made"));
  assert.is(lines.length, 1, said.join("\n"));
  assert.match(
    lines[0]!,
    /teacher\.safetensors: a V-Net with 4 modalities, 2 filters, 2 levels and batch norm/,
  );
  assert.match(lines[0]!, /taken to be t1, t2, t1ce, flair, and --background zero/);
  const metrics = readFileSync(join(folder, "taught", "student_t1ce_protokd", FILES.metrics), "utf8");
  const { losses } = JSON.parse(metrics) as { losses: Record<string, number> };
  assert.ok(losses["kd"]! > 0 && losses["prototype"]! > 0);
});

test("a published student predicts as the same weights with a card do; the user names its modality", async () => {
  const model = file("published", NETWORK, 5);
  const carded = await withCard("carded", model);
  const [own, foreign, zero] = [
    await predict({ model: carded }),
    await predict({ model, modality: "flair", patch: "16" }),
    await predict({ model, modality: "flair", patch: "16", background: "zero" }),
  ];
  assert.equal(foreign.bytes, own.bytes);
  assert.not.equal(zero.bytes, own.bytes);
  assert.not.equal((await predict({ model, modality: "t1", patch: "16" })).bytes, own.bytes);
  assert.match(
    foreign.said.join("\n"),
    /assuming modalities flair, --background shifted and --patch 16,16,16/,
  );

  assert.match(
    await refused({ model }),
    /^\/published.safetensors: does not say which modality .* --modality$/,
  );
  assert.match(
    await refused({ model: carded, modality: "t1" }),
    /^--modality t1: .* says that it sees flair$/,
  );
  assert.match(
    await refused({ model: carded, patch: "32" }),
    /^--patch: only for checkpoints without metadata: \/carded.safetensors has its own$/,
  );
  assert.match(await refused({ model, modality: "t1", patch: "15" }), /^--patch: 2 levels need/);
  const four = file("all", { ...NETWORK, modalities: 4 });
  assert.match(await refused({ model: four, modality: "t1" }), /^--modality t1: .* sees 4 modalities$/);
  assert.ok((await predict({ model: four, patch: "16" })).bytes.length);
});

test("a model with a card predicts on inputs prepared as the card says", async () => {
  const model = file("plain", NETWORK, 5);
  const longer = { patch: [32, 16, 16] } satisfies Partial<ModelCard>; // than the brain: padding matters
  const bytes = async (name: string, changes: Partial<ModelCard>) =>
    (await predict({ model: await withCard(name, model, changes) })).bytes;
  const zero = await bytes("zero", { ...longer, padding: "zero" });
  assert.not.equal(await bytes("more", { ...longer, padding: "background" }), zero);
  const fixed = await withCard("fixed", model, { crop: "published" });
  assert.match(await refused({ model: fixed }), /^3 problems .* at least 216x216x145 voxels/s);
});

const golden = new URL("../../../shared/golden/vnet.safetensors", import.meta.url);
if (!existsSync(golden)) {
  console.log("SKIPPED: the published names are read: ../shared/golden is missing");
} else {
  test("the published names are read, with PyTorch's counters of batches", () => {
    const { tensors } = decodeSafetensors(readFileSync(golden), "vnet.safetensors");
    for (const norm of ["batch", "instance"] as const) {
      for (const [who, modalities] of [["teacher", 4] as const, ["student", 1] as const]) {
        const prefix = `${norm}.${who}.`;
        const part = Object.entries(tensors).filter(([name]) => name.startsWith(prefix));
        const named = Object.fromEntries(part.map(([name, value]) => [name.slice(prefix.length), value]));
        assert.is("block_one.conv.1.num_batches_tracked" in named, norm === "batch");
        const { config } = storedNetwork(named, "vnet.safetensors");
        assert.equal(config, { ...VNET, modalities, norm, filters: config.filters });
      }
    }
  });
}

test.run();

/** A file of such a network, as published: without a card. */
function file(name: string, config: VnetConfig, seed = 1): string {
  const path = join(folder, `${name}.safetensors`);
  writeFileSync(path, encodeSafetensors(weights(config, seed), {}));
  return path;
}

/** The network of a file with a card: a student of FLAIR, its input prepared as in the published code. */
async function withCard(name: string, from: string, changes: Partial<ModelCard> = {}): Promise<string> {
  const path = join(folder, `${name}.safetensors`);
  const { params, config } = upload(device, await readModel(from));
  initialise(device, { params, config }, [16, 16, 16]);
  const card: ModelCard = {
    network: config,
    modalities: ["flair"],
    patch: [16, 16, 16],
    window: "uniform",
    labels: "brats",
    background: "shifted",
    crop: "brain",
    padding: "zero",
    stage: "student_flair",
    epoch: 1,
    step: 1,
    seed: 1,
    ...changes,
  };
  await saveModel(path, params, card);
  params.free();
  return path;
}

type Asked = Partial<PredictOptions> & { model: string };

async function predict(options: Asked): Promise<{ said: string[]; bytes: Uint8Array }> {
  const output = mkdtempSync(join(folder, "predicted-"));
  const said = await silenced(() =>
    predictFolder(() => Promise.resolve(device), { input: data, output, ...options }),
  );
  return { said, bytes: readFileSync(join(output, "PHANTOM_003.nii.gz")) };
}

async function refused(options: Asked): Promise<string> {
  return (await failure(() => predict(options))).message.replaceAll(folder, "");
}

function refusal(flags: TrainFlags): Promise<Error> {
  return failure(() => trainQuietly(flags, () => Promise.reject(new Error("a device was opened"))));
}
