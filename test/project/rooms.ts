// The project's layers and rooms, and the direction of their imports.

/** The files of bench/ that the page's own bench runs too. */
export const PORTABLE = ["bench/kernels", "bench/ceilings.ts", "bench/stopwatch.ts", "bench/values.ts"];

/** The layers: the files of ours that each may import, and whether it may import Node's modules. */
export const layers: Record<string, { ours: string[]; node: boolean }> = {
  engine: { ours: ["engine", "shaders/types.ts"], node: false },
  shaders: { ours: ["engine/gpu", "shaders"], node: true },
  model: { ours: ["engine", "model"], node: false },
  data: { ours: ["engine", "data"], node: false },
  trainer: { ours: ["engine", "model", "data", "trainer"], node: false },
  web: { ours: ["engine", "model", "data", "trainer", "web", ...PORTABLE], node: false },
  cli: { ours: ["engine", "model", "data", "trainer", "cli"], node: true },
  bench: { ours: ["engine", "model", "data", "trainer", "cli", "bench", "test"], node: true },
  test: {
    ours: ["engine", "shaders", "model", "data", "trainer", "cli", "web", "bench", "test", "docs"],
    node: true,
  },
  docs: { ours: [], node: true },
};

/**
 * The rooms of layers, the lowest first: a file imports from its own room and, in its layer, from those above
 * its line.
 */
export const rooms = [
  "engine/values.ts",
  "engine/gpu",
  "engine/autograd",
  "engine/convolution",
  "engine/ops",
  "engine/optim",
  "engine/index.ts",
  "data/groups.ts",
  "data/errors.ts",
  "data/digest.ts",
  "data/nifti",
  "data/datasets",
  "data/preparation",
  "data/sampling",
  "data/phantom",
  "data/check",
  "model/errors.ts",
  "model/scoring",
  "model/settings",
  "model/networks",
  "model/losses",
  "model/methods",
  "model/inference",
  "model/files",
  "trainer/loop",
  "trainer/settings",
  "trainer/stages",
  "trainer/experiments",
  "cli/terminal",
  "cli/files",
  "cli/device",
  "cli/prediction",
  "cli/report",
  "cli/stages",
  "cli",
  "web/worker/protocol.ts",
  "web/ui",
  "web/worker/gpu.ts",
  "web/worker/opfs.ts",
  "web/worker/models.ts",
  "web/segment",
  "web/train",
  "web/worker",
  "web/bench",
  "web",
];
