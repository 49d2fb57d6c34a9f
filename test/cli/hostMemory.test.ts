// The limit of main memory, in containers too, and the estimate of what a training takes of it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  cacheRoom,
  checkHostMemory,
  hostBytes,
  type HostDemand,
  readingBytes,
} from "../../cli/device/hostMemory.ts";
import { memoryLimit } from "../../cli/device/memoryLimit.ts";
import { UsageError } from "../../model/settings/errors.ts";

const test = suite("host memory");
const folder = mkdtempSync(join(tmpdir(), "host-memory-"));
test.after(() => rmSync(folder, { recursive: true }));

const MACHINE = 64e9;
let made = 0;

/** The limit on a machine with these files. */
function limitWith(files: Record<string, string>): number {
  const root = join(folder, String(made++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return memoryLimit(root, MACHINE);
}

test("the limit is that of the container, the job or the machine, whichever is least", () => {
  const v2 = "sys/fs/cgroup";
  const v1 = "sys/fs/cgroup/memory";
  const inside = { "proc/self/cgroup": "0::/\n" };
  assert.is(limitWith({}), MACHINE, "another system");
  assert.is(limitWith({ ...inside, [`${v2}/memory.max`]: "8000000000\n" }), 8e9, "a container, version 2");
  assert.is(limitWith({ ...inside, [`${v2}/memory.max`]: "max\n" }), MACHINE, "no limit");
  assert.is(
    limitWith({ ...inside, [`${v2}/memory.max`]: "max\n", [`${v2}/memory.high`]: "7000000000" }),
    7e9,
  );
  assert.is(limitWith({ ...inside, [`${v2}/memory.max`]: "640000000000" }), MACHINE, "more than there is");
  const job = { "proc/self/cgroup": "0::/slurm/job_1/step_0\n" };
  assert.is(
    limitWith({
      ...job,
      [`${v2}/slurm/job_1/memory.max`]: "5000000000",
      [`${v2}/slurm/job_1/step_0/memory.max`]: "max",
    }),
    5e9,
    "the group around it",
  );
  const old = { "proc/self/cgroup": "9:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n" };
  assert.is(
    limitWith({ ...old, [`${v1}/memory.limit_in_bytes`]: "4000000000" }),
    4e9,
    "version 1, in a container",
  );
  assert.is(limitWith({ ...old, [`${v1}/docker/abc/memory.limit_in_bytes`]: "3000000000" }), 3e9);
  assert.is(
    limitWith({ ...old, [`${v1}/memory.limit_in_bytes`]: "9223372036854771712" }),
    MACHINE,
    "no limit",
  );
  const outside = { "proc/self/cgroup": "0::/../../other\n" };
  assert.is(
    limitWith({ ...outside, [`${v2}/memory.max`]: "2000000000" }),
    2e9,
    "a path out of its namespace",
  );
});

/** Cases of BraTS, with the paper's batch. */
const BRATS: HostDemand = {
  config: { workers: 4, batch: 4, patch: [96, 128, 128] },
  channels: 4,
  streams: 1,
  reading: 280e6,
  prepared: { bytes: 60e6, voxels: 3.5e6 },
  kept: 0,
  again: true,
  validates: true,
};

test("the estimate grows with everything that takes main memory", () => {
  const base = hostBytes(BRATS);
  const more: Partial<HostDemand>[] = [
    { kept: 1e9 },
    { streams: 2 },
    { reading: 600e6 },
    { prepared: { bytes: 120e6, voxels: 7e6 } },
    ...[{ workers: 5 }, { batch: 5 }, { patch: [128, 128, 128] as const }].map((change) => ({
      config: { ...BRATS.config, ...change },
    })),
  ];
  for (const change of more) assert.ok(hostBytes({ ...BRATS, ...change }) > base, JSON.stringify(change));
  assert.is(hostBytes({ ...BRATS, kept: 1e9 }), base + 1e9);
  assert.ok(hostBytes({ ...BRATS, again: false }) < base);
  assert.ok(hostBytes({ ...BRATS, validates: false }) < base);
  const file = {
    path: "a",
    bytes: 1000,
    sha256: "",
    voxels: "",
    shape: [10, 20, 30],
    spacing: [],
    affine: [],
  };
  const record = { id: "a", images: { t1: { ...file, channel: 0 }, t2: { ...file, channel: 1 } } };
  assert.is(readingBytes(record), 1000 + 6 * 6000, "a file of two modalities is read once");
});

test("the room for cases is half of the limit, less where training leaves less, or as set", () => {
  const need = hostBytes(BRATS);
  assert.is(cacheRoom(null, 100e9, BRATS), 50e9);
  assert.is(cacheRoom(null, need + 1e9, BRATS), 1e9);
  assert.is(cacheRoom(null, need - 1, BRATS), 0);
  assert.is(cacheRoom(0, 100e9, BRATS), 0);
  assert.is(cacheRoom(2, need, BRATS), 2 * 2 ** 30);
});

test("a training that exceeds the limit is refused, with flags that fit", () => {
  const need = hostBytes(BRATS);
  assert.is(checkHostMemory(BRATS, need), need);
  const refused = (demand: HostDemand, limit: number) => {
    try {
      checkHostMemory(demand, limit);
    } catch (error) {
      assert.instance(error, UsageError);
      return (error as Error).message;
    }
    throw new Error("expected a refusal");
  };
  assert.match(
    refused(BRATS, need - 1),
    /^training would take \d.* GiB of main memory, and this process may use .*: these fit: --workers 3; or --batch 3$/,
  );
  assert.match(refused({ ...BRATS, kept: 10e9 }, need + 5e9), /: these fit: --cache 4\.65$/);
  assert.match(
    refused(BRATS, 1e8),
    /: use fewer --workers, a smaller --batch or --patch and a smaller --cache/,
  );
});

test.run();
