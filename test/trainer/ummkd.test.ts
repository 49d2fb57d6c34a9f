// UMMKD: what its contrasts share and what is their own, its terms, the cases that each contrast draws, and
// the ordinary network of one contrast that is made of the whole.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { Random, tensor } from "../../engine/index.ts";
import { type Method, METHODS } from "../../model/methods/index.ts";
import { segmentationTerms } from "../../model/losses/losses.ts";
import { mergedBank, withBank } from "../../model/networks/banks.ts";
import { forward, type Network } from "../../model/networks/network.ts";
import { Params } from "../../model/networks/params.ts";
import type { TrainBatch } from "../../trainer/loop/trainer.ts";
import { DEFAULTS, type TrainConfig } from "../../trainer/settings/config.ts";
import { streamLines, streamsOf } from "../../trainer/stages/sources.ts";
import { device } from "../support/gradcheck.ts";
import { numbers, run } from "../support/methodTrials.ts";
import { batch, of, PATCH, VOXELS } from "../support/training.ts";

const METHOD = METHODS.ummkd as unknown as Method;
const SETTINGS = {
  klWeight: 0.5,
  temperature: 2,
  absentClasses: "skip",
  normBanks: "each",
  unpaired: false,
};
const CHANNELS = [0, 2]; // t1 and flair

/** Batches without end from a seed on. */
function source(seed: number): { next: () => TrainBatch } {
  return { next: () => batch((seed += 2)) };
}

/** Trains UMMKD, or another method in its place, on t1 and flair. */
const trained = (
  settings: object = {},
  { flair = 500, declared = METHOD, ...trial }: Parameters<typeof run>[1] & Changed = {},
) =>
  run(declared, {
    channels: CHANNELS,
    settings: { ...SETTINGS, ...settings },
    sources: { t1: source(100), flair: source(flair) },
    ...trial,
  });
/** The seed of flair's batches, and a method in the place of UMMKD. */
interface Changed {
  flair?: number;
  declared?: unknown;
}
type Outcome = Awaited<ReturnType<typeof trained>>;

const losses = ({ seen }: Outcome) => of(seen, "step").map((step) => step.losses);
const values = ({ tensors }: Outcome) =>
  Object.entries(tensors).map(([name, value]) => [name, numbers(value)] as const);
/** The network's tensors, without the optimizer's, whose names fit a pattern. */
const named = (outcome: Outcome, pattern: RegExp) =>
  values(outcome).filter(([name]) => !name.startsWith("optimizer") && pattern.test(name));

test("with a weight of 0 it is the sum of its contrasts' segmentation losses, with banks and without", async () => {
  for (const normBanks of ["each", "shared"]) {
    const domain = (name: string) => (normBanks === "each" ? { domain: name } : {});
    const declared = {
      ...METHOD,
      step({ networks, batch: batches, update }: Parameters<Method["step"]>[0]) {
        update("main", () => {
          const terms = ["t1", "flair"].map((name) => {
            const own = (batches as Record<string, (typeof batches)["paired"]>)[name]!;
            const { logits } = networks["student"]!.run(own.images([name]), domain(name));
            return [name, segmentationTerms(logits, own.label)] as const;
          });
          const entries = terms.flatMap(([name, one]) =>
            Object.entries(one).map(([term, value]) => [`${name}.${term}`, value] as const),
          );
          return Object.fromEntries(entries);
        });
      },
    };
    const [own, sum] = [
      await trained({ klWeight: 0, normBanks }),
      await trained({ normBanks }, { declared }),
    ];
    assert.equal(losses(own), losses(sum), normBanks);
    assert.equal(values(own), values(sum), normBanks);
    const weighted = await trained({ normBanks });
    assert.ok(losses(weighted).every(({ kl }) => kl! > 0));
    assert.not.equal(values(weighted), values(own), normBanks);
  }
});

test("a batch of one contrast moves all kernels and its own norms, not those of the other", async () => {
  const [one, other] = [500, 700];
  const step = { stepsPerEpoch: 1 };
  const [first, second] = [
    await trained({ klWeight: 0 }, { ...step, flair: one }),
    await trained({ klWeight: 0 }, { ...step, flair: other }),
  ];
  assert.equal(named(first, /^bank\.t1\./), named(second, /^bank\.t1\./));
  assert.is(named(first, /^bank\.t1\./).length, named(first, /^bank\.flair\./).length);
  for (const pattern of [/^bank\.flair\./, /^block_one\.conv\.0\.weight$/, /^out_conv/])
    assert.not.equal(named(first, pattern), named(second, pattern), String(pattern));
  assert.is(named(first, /^(?!bank\.).*conv\.1\./).length, 0, "no norm without a bank");
  const [kl, drawn] = [
    await trained({}, { ...step, flair: one }),
    await trained({}, { ...step, flair: other }),
  ];
  assert.not.equal(named(kl, /^bank\.t1\./), named(drawn, /^bank\.t1\./), "the divergence reaches both");
});

test("shared norms are one set; batch norm's running statistics are a bank's own", async () => {
  const names = (outcome: Outcome) => named(outcome, /./).map(([name]) => name);
  const shared = names(await trained({ normBanks: "shared" }));
  assert.ok(shared.every((name) => !name.startsWith("bank.")));
  const batched = await trained({}, { network: small("batch") });
  for (const contrast of ["t1", "flair"])
    assert.ok(names(batched).includes(`bank.${contrast}.block_one.conv.1.running_mean`));
  assert.not.equal(
    named(batched, /^bank\.t1\..*running_mean/).map(([, data]) => data),
    named(batched, /^bank\.flair\..*running_mean/).map(([, data]) => data),
  );
});

const CASES = ["a_1", "a_2", "b_1", "c_1", "d_1", "e_1"].map((id) => ({ id }));
const CONFIG: TrainConfig = {
  ...DEFAULTS,
  ...SETTINGS,
  stage: "student",
  method: "ummkd",
  modality: "each:t1ce+flair",
  patients: "^(.)_",
} as unknown as TrainConfig;

const drawn = (config: Partial<TrainConfig>, cases: readonly { id: string; absent?: string[] }[] = CASES) => {
  const streams = streamsOf(cases, { ...CONFIG, ...config }, ["t1ce", "flair"]);
  const ids = streams.map(({ name, cases: own }) => [name, own.map(({ id }) => id).join()]);
  return { streams, ids: Object.fromEntries(ids) as Record<string, string> };
};

test("unpaired, a patient shows one contrast alone, in the order of the ids whatever that of the cases", () => {
  const paired = drawn({});
  assert.equal(paired.ids, { t1ce: "a_1,a_2,b_1,c_1,d_1,e_1", flair: "a_1,a_2,b_1,c_1,d_1,e_1" });
  const unpaired = drawn({ unpaired: true });
  assert.equal(unpaired.ids, { t1ce: "a_1,a_2,c_1,e_1", flair: "b_1,d_1" });
  assert.equal(drawn({ unpaired: true }, CASES.toReversed()).ids, {
    t1ce: "e_1,c_1,a_2,a_1",
    flair: "d_1,b_1",
  });
  assert.equal(streamLines(unpaired.streams), ["a batch of each: t1ce of 4, flair of 2 cases"]);
  const seeds = unpaired.streams.map(({ options }) => options.seed);
  assert.is(new Set(seeds).size, 2);
  const apart = drawn({ unpaired: true, patients: "none" });
  assert.equal(apart.ids, { t1ce: "a_1,b_1,d_1", flair: "a_2,c_1,e_1" });
});

test("a contrast draws no case that lacks it; one without a case is refused", () => {
  const lacking = (absent: string[]) => CASES.map((one, i) => (i < 5 ? { ...one, absent } : one));
  assert.equal(drawn({}, lacking(["t1ce"])).ids, { t1ce: "e_1", flair: "a_1,a_2,b_1,c_1,d_1,e_1" });
  const { streams } = drawn({ unpaired: true }, lacking(["flair"]));
  assert.throws(
    () => streamLines(streams),
    /no case is left to train on with flair \(t1ce 4, flair 0\): train on more cases, or choose other contrasts/,
  );
});

/** A V-Net of one channel. */
function small(norm: "instance" | "batch" = "instance"): Network {
  return {
    params: new Params(device, { seed: 1 }),
    config: { modalities: 1, classes: 4, filters: 4, levels: 2, norm },
  };
}

/** Two cubes of each class in each sample; flair is bright where t1 is dark. */
function opposite(seed: number): TrainBatch {
  const random = new Random(seed);
  const shuffled = () =>
    Array.from({ length: 8 }, (_, i) => [random.next(), i % 4] as const)
      .sort(([a], [b]) => a - b)
      .map(([, k]) => k);
  const cubes = [...shuffled(), ...shuffled()];
  const label = Uint8Array.from({ length: 2 * VOXELS }, (_, i) => {
    const [n, z, y, x] = [i >> 9, (i >> 6) & 7, (i >> 3) & 7, i & 7];
    return cubes[8 * n + 4 * (z >> 2) + 2 * (y >> 2) + (x >> 2)]!;
  });
  const images = new Float32Array(2 * 3 * VOXELS);
  for (const [i, k] of label.entries()) {
    const at = (channel: number) => (3 * (i >> 9) + channel) * VOXELS + (i % VOXELS);
    images[at(0)] = k - 1.5 + 0.1 * random.normal();
    images[at(2)] = 1.5 - k + 0.1 * random.normal();
  }
  return { images, label, cases: ["one", "other"] };
}

/** The share of voxels that a network with a bank labels as they are. */
async function agreement(network: Network, channel: number): Promise<number> {
  const { images, label } = opposite(9999);
  const x = tensor(device, [1, 1, ...PATCH], images.subarray(channel * VOXELS, (channel + 1) * VOXELS));
  const logits = await forward(network, x, { mode: "eval" }).logits.read();
  const best = (v: number) => {
    const own = [0, 1, 2, 3].map((k) => logits[k * VOXELS + v]!);
    return own.indexOf(Math.max(...own));
  };
  return (
    Array.from({ length: VOXELS }, (_, v) => Number(best(v) === label[v])).reduce((a, b) => a + b) / VOXELS
  );
}

test("trained, each contrast needs its own bank; alone, with plain names, it predicts the same bits", async () => {
  const endless = (seed: number) => ({ next: () => opposite(seed++) });
  const { tensors } = await trained(
    {},
    {
      network: small(),
      stepsPerEpoch: 200,
      sources: { t1: endless(1), flair: endless(2000) },
    },
  );
  const networkOnly = Object.entries(tensors).filter(([name]) => !name.startsWith("optimizer"));
  const stored = Object.fromEntries(networkOnly);
  const { config } = small();
  const banks = ["t1", "flair"];
  const whole: Network = { params: new Params(device, { values: stored }), config, banks };
  const x = tensor(device, [1, 1, ...PATCH], opposite(7).images.subarray(0, VOXELS));
  for (const [own, other, channel] of [
    ["t1", "flair", 0],
    ["flair", "t1", 2],
  ] as const) {
    const right = await agreement(withBank(whole, own), channel);
    const wrong = await agreement(withBank(whole, other), channel);
    assert.ok(right > 0.8, `${own}: ${right}`);
    assert.ok(wrong < 0.5, `${own} with the norms of ${other}: ${wrong}`);
    const alone: Network = { params: new Params(device, { values: mergedBank(stored, own) }), config };
    const logits = async (network: Network) => [
      ...(await forward(network, x, { mode: "eval" }).logits.read()),
    ];
    assert.equal(await logits(alone), await logits(withBank(whole, own)), own);
    alone.params.checkUsed();
  }
  assert.throws(() => forward(whole, x, { mode: "eval" }), /expected a bank of t1, flair, got none/);
});

test.run();
