// What the comparison asks of an engine: a few tasks, in PyTorch's layouts on the host, each prepared once
// and then run again and again.

import type { Values } from "../../model/networks/params.ts";
import type { VnetConfig } from "../../model/networks/vnet.ts";

/** A convolution 3³ that keeps its size, x [N,C,D,H,W], weight [O,C,3,3,3], or the gradient that dy [N,O,D,H,W] gives. */
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

/** A training step of a V-Net: forward, cross-entropy, backward, Adam. Its output is the loss before the step. */
export interface StepTask {
  op: "V-Net";
  pass: "training step";
  config: VnetConfig;
  /** By the checkpoint's names. */
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
   * Records and submits one run; calls `begin` where the timed part starts. What it returns, once all is submitted,
   * reads the results, in PyTorch's layouts, or lets go of them.
   */
  run: (begin: () => void) => Promise<Results> | Results;
  /** Lets go of the inputs. */
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
  /** Throws an Unsupported with the reason where the engine has no such thing. */
  prepare: (task: Task) => Prepared;
}

/** An engine is not there, or cannot do a task; the message says why. */
export class Unsupported extends Error {
  override readonly name = "Unsupported";
}
