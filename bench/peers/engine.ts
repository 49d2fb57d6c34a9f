// The interface of an engine under comparison. It prepares a task once, from values in PyTorch's layouts on
// the host, and then runs it many times.

import type { Values } from "../../model/networks/params.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";

/**
 * A convolution 3³ at stride 1 with padding 1, x [N,C,D,H,W], weight [O,C,3,3,3], or a gradient of it by dy
 * [N,O,D,H,W].
 */
export interface ConvolutionTask {
  op: "conv3d";
  pass: "forward" | "data gradient" | "weight gradient";
  x: Values;
  weight: Values;
  dy: Values;
}

/** Instance norm of x [N,C,D,H,W] with weight and bias [C]; with `backward` also all three gradients. */
export interface NormTask {
  op: "instanceNorm";
  pass: "forward" | "forward, backward";
  x: Values;
  weight: Values;
  bias: Values;
  dy: Values;
}

/**
 * A training step of a V-Net: forward, cross-entropy, backward, Adam. Its output is the loss before the step.
 */
export interface StepTask {
  op: "V-Net";
  pass: "training step";
  config: VnetConfig;
  /** The parameters by their names in a checkpoint. */
  params: Readonly<Record<string, Values>>;
  x: Values;
  /** [N,D,H,W]. */
  label: Values;
  rate: number;
}

export type Task = ConvolutionTask | NormTask | StepTask;

/** A task on an engine's device. */
export interface Prepared {
  /**
   * Records and submits one run, and calls `begin` where the timed part starts. Returns the results once
   * everything is submitted; they are read in PyTorch's layouts, or freed.
   */
  run: (begin: () => void) => Promise<Results> | Results;
  /** Frees the inputs. */
  finish: () => void;
}

export interface Results {
  read: () => Promise<Float32Array[]>;
  free: () => Promise<void> | void;
}

export interface Engine {
  name: "ours" | "tfjs" | "jax";
  version: string;
  /** The device it computes on, for timestamps in its queue. */
  device: GPUDevice;
  /** Throws an Unsupported with the reason if the engine cannot do the task. */
  prepare: (task: Task) => Prepared;
}

/** An engine is not installed, or cannot do a task; the message has the reason. */
export class Unsupported extends Error {
  override readonly name = "Unsupported";
}
