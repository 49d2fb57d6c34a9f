// npm run bench:loader [-- --patch 96,128,128 --seconds 10 --workers 0,1,2]: how many patches of four
// modalities the loader makes per second, by augmentation and number of threads. The images are balls of
// noise in air. With --data DIR: how long it takes to read a case again, from its files and from the cache on
// disk.

import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import * as v from "valibot";
import { isMain, runCommand } from "../cli/terminal/command.ts";
import { UsageError } from "../model/settings/errors.ts";
import type { Reading, RecordedCase } from "../cli/files/dataWorkers.ts";
import { folderSource } from "../cli/files/folderSource.ts";
import { loadRecordedCases, readAgain } from "../cli/files/loadCases.ts";
import { openLoader } from "../cli/files/loader.ts";
import { Room } from "../cli/files/room.ts";
import { numberOption } from "../cli/terminal/kindOption.ts";
import { parsePatch, whole } from "../model/settings/kinds.ts";
import { SETTINGS } from "../trainer/settings/settings.ts";
import type { Augmentation } from "../data/sampling/augment.ts";
import type { Vec3 } from "../data/nifti/geometry.ts";
import { type Case, PREPARATION } from "../data/preparation/preprocess.ts";
import { MODALITIES, openDataset } from "../data/datasets/datasets.ts";
import { Random } from "../engine/autograd/random.ts";

interface Flags {
  patch: string;
  seconds: number;
  workers: string;
  data?: string;
}

/** A typical size of a brain's bounding box in BraTS. */
const SIZE: Vec3 = [140, 170, 140];

async function main({ data, patch: size, seconds, workers: counts }: Flags): Promise<void> {
  const patch = parsePatch(size);
  const threads = counts.split(",").map(SETTINGS.workers.parse);
  if (!threads.every((n): n is number => v.is(SETTINGS.workers.schema, n)))
    throw new UsageError(`--workers: each ${SETTINGS.workers.expected}, such as 0,1,2, got ${counts}`);
  console.log(`${cpus().length} x ${cpus()[0]?.model ?? "unknown"}; Node ${process.version}`);
  if (data !== undefined) return measureReading(data, seconds);
  console.log(`patches of ${MODALITIES.length}x${patch.join("x")}, ${seconds} s each`);
  const cases = [head(1), head(2)];
  for (const augment of ["none", "paper", "nnunet"] as const) {
    for (const workers of threads) {
      const { rate, cpu } = await measure(cases, { patch, augment, workers, seconds });
      const each = `${(1000 * cpu).toFixed(0)} ms of CPU each`;
      console.log(`  ${augment}, ${workers} workers: ${rate.toFixed(2)} patches/s, ${each}`);
    }
  }
}

/** Prints how long it takes to read each case of a data set again, in this thread. */
async function measureReading(data: string, seconds: number): Promise<void> {
  const { layout, convention, cases } = await openDataset(await folderSource(data));
  const reading: Reading = {
    data,
    dataset: { layout, convention },
    modalities: MODALITIES,
    preparation: PREPARATION,
  };
  const folder = await mkdtemp(join(tmpdir(), "bench-loader-"));
  try {
    const group = { files: cases, cache: { room: new Room(0), folder, more: 0 } };
    const read = await loadRecordedCases(reading, [group], () => 0);
    const recorded = read.map((one) => one.case as RecordedCase);
    for (const from of [null, folder]) {
      const [start, before] = [performance.now(), process.cpuUsage()];
      let [count, taken] = [0, 0];
      for (; taken < seconds; count++) {
        await readAgain({ ...recorded[count % recorded.length]!, folder: from });
        taken = (performance.now() - start) / 1000;
      }
      const { user, system } = process.cpuUsage(before);
      const [wall, cpu] = [1000 * taken, (user + system) / 1000].map((ms) => `${(ms / count).toFixed(0)} ms`);
      console.log(
        `  a case ${from === null ? "from its files" : "from the cache on disk"}: ${wall}, ${cpu} of CPU`,
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Run {
  patch: Vec3;
  augment: Augmentation;
  workers: number;
  seconds: number;
}

/** Patches per second and seconds of CPU per patch, after a warm-up of every thread. */
async function measure(
  cases: readonly Case[],
  { seconds, ...run }: Run,
): Promise<{ rate: number; cpu: number }> {
  const loader = await openLoader(cases, { ...run, batch: 1, seed: 1, foreground: 0.33 });
  for (let i = 0; i < 2 * run.workers + 1; i++) await loader.next();
  const start = performance.now();
  const before = process.cpuUsage();
  let [patches, taken] = [0, 0];
  while (taken < seconds) {
    await loader.next();
    patches++;
    taken = (performance.now() - start) / 1000;
  }
  const { user, system } = process.cpuUsage(before);
  await loader.close();
  return { rate: patches / taken, cpu: (user + system) / 1e6 / patches };
}

/** A ball of noise with a tumour in it, surrounded by air. */
function head(seed: number): Case {
  const random = new Random(seed);
  const voxels = SIZE[0] * SIZE[1] * SIZE[2];
  const images = new Float32Array(MODALITIES.length * voxels);
  const label = new Uint8Array(voxels);
  for (let i = 0; i < voxels; i++) {
    const [z, y, x] = [Math.floor(i / (SIZE[1] * SIZE[2])), Math.floor(i / SIZE[2]) % SIZE[1], i % SIZE[2]];
    const radius = Math.hypot(z / SIZE[0] - 0.5, y / SIZE[1] - 0.5, x / SIZE[2] - 0.5);
    if (radius < 0.1) label[i] = 1 + (i % 3);
    if (radius < 0.5) for (let m = 0; m < MODALITIES.length; m++) images[m * voxels + i] = random.normal();
  }
  const source = {
    size: SIZE,
    offset: [0, 0, 0] as Vec3,
    spacing: [1, 1, 1] as Vec3,
    header: new Uint8Array(352),
  };
  const background = MODALITIES.map(() => 0);
  return {
    id: `head ${seed}`,
    size: SIZE,
    channels: [...MODALITIES],
    images,
    label,
    background,
    source,
    convention: "brats",
  };
}

if (isMain(import.meta.url)) {
  const command = new Command("loader")
    .description("Measures how many patches the loader makes per second.")
    .option("--patch <d,h,w>", "voxels of a patch", "96,128,128")
    .addOption(numberOption("--seconds <n>", "duration of each measurement", whole(1, 3600)).default(10))
    .option("--workers <list>", `numbers of threads (${SETTINGS.workers.limits} each)`, "0,1,2")
    .option("--data <folder>", "measure the reading of its cases instead");
  process.exitCode = await runCommand<Flags>(command, main);
}
