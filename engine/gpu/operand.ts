// A tensor as a kernel sees it.

import type { Device } from "./device.ts";

/** How elements are stored; arithmetic is float32. f16 is for activations and their gradients. */
export type Precision = "f32" | "f16";

/** Bytes of an element. */
export const BYTES: Readonly<Record<Precision, number>> = { f32: 4, f16: 2 };

/** A range of a buffer that a kernel reads or writes. */
export interface Operand {
  readonly device: Device;
  /** Elements. */
  readonly size: number;
  readonly precision: Precision;
  /** The exact bytes of the elements, so that arrayLength() in a shader is `size`. */
  readonly binding: GPUBufferBinding;
}

/** Returns whether a value, such as an argument of a call, is a tensor. */
export function isOperand(value: unknown): value is Operand {
  return typeof value === "object" && value !== null && "binding" in value;
}
