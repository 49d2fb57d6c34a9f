// The tasks of the comparison: convolutions like the network's, its norm, and a training step of a small
// network.

import { vnetShapes } from "../../model/networks/layers.ts";
import { VNET, type VnetConfig } from "../../model/networks/vnet.ts";
import { labels, networkValues, normal } from "../values.ts";
import type { ConvolutionTask, NormTask, StepTask, Task } from "./engine.ts";

/**
 * Channels and edges of the volumes, so small that every engine finishes in minutes on a software adapter.
 */
const CONVOLUTIONS = [
  [16, 32],
  [32, 16],
  [64, 16],
  [128, 8],
] as const;
const NORM = [16, 32] as const;

/** A small network, and the phantom's student with its default settings. */
const STEPS: readonly StepSize[] = [
  { filters: 8, levels: 2, edge: 32, batch: 1 },
  { filters: 8, levels: 4, edge: 32, batch: 2 },
];
const QUICK: StepSize = { filters: 4, levels: 2, edge: 16, batch: 1 };

interface StepSize {
  filters: number;
  levels: number;
  edge: number;
  batch: number;
}

/** All tasks; if `quick`, a few small ones. */
export function peerTasks({ quick = false } = {}): Task[] {
  const convolutions = quick ? CONVOLUTIONS.slice(-1) : CONVOLUTIONS;
  return [
    ...convolutions.flatMap(([channels, edge]) => convolutionTasks(channels, edge)),
    ...normTasks(...NORM),
    ...(quick ? [QUICK] : STEPS).map(stepTask),
  ];
}

function convolutionTasks(channels: number, edge: number): ConvolutionTask[] {
  const shape = [1, channels, edge, edge, edge];
  const weight = normal([channels, channels, 3, 3, 3], 2, (27 * channels) ** -0.5);
  const values = { x: normal(shape), weight, dy: normal(shape, 3) };
  const passes = ["forward", "data gradient", "weight gradient"] as const;
  return passes.map((pass) => ({ op: "conv3d", pass, ...values }));
}

function normTasks(channels: number, edge: number): NormTask[] {
  const shape = [1, channels, edge, edge, edge];
  const values = {
    x: normal(shape),
    weight: normal([channels], 2),
    bias: normal([channels], 3),
    dy: normal(shape, 4),
  };
  return (["forward", "forward, backward"] as const).map((pass) => ({ op: "instanceNorm", pass, ...values }));
}

function stepTask({ filters, levels, edge, batch }: StepSize): StepTask {
  const config: VnetConfig = { ...VNET, modalities: 1, filters, levels };
  const size = [edge, edge, edge];
  const params = networkValues(vnetShapes(config));
  const x = normal([batch, 1, ...size]);
  const label = labels([batch, ...size], VNET.classes);
  return { op: "V-Net", pass: "training step", config, params, x, label, rate: 1e-3 };
}
