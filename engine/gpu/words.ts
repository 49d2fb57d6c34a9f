// Uniforms: how the members of a shader's struct lie in memory, and the memory.

import type { VariableInfo } from "wgsl_reflect/wgsl_reflect.module.js";
import { Tensor } from "../autograd/tensor.ts";

/** What a kernel is called with, by the names in its shader. */
export type Args = Readonly<Record<string, Tensor | number | boolean | readonly number[] | undefined>>;

/** Memory that holds numbers of each kind, every one a word. */
export class Words {
  readonly bytes: ArrayBuffer;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;

  constructor(bytes: number) {
    this.bytes = new ArrayBuffer(bytes);
    this.u32 = new Uint32Array(this.bytes);
    this.i32 = new Int32Array(this.bytes);
    this.f32 = new Float32Array(this.bytes);
  }
}

/** A member of a uniform struct: where it lies, in words, and what its numbers are. */
export interface Member {
  name: string;
  at: number;
  kind: "u32" | "i32" | "f32";
}

export function membersOf(uniform: VariableInfo | null): Member[] {
  return (uniform?.members ?? []).map(({ name, offset, type, format }) => {
    const scalar = (format ?? type).name; // f32, u32, i32 or vec3f, vec3u, vec3i
    return {
      name,
      at: offset / 4,
      kind: scalar.includes("u") ? "u32" : scalar.includes("i") ? "i32" : "f32",
    };
  });
}

/** Writes the uniforms of a call at a byte of `words`; a member `first` is where its invocations begin. */
export function put(
  label: string,
  members: readonly Member[],
  args: Args,
  words: Words,
  byte: number,
  first: number,
) {
  for (const { name, at, kind } of members) {
    const value = name === "first" ? first : args[name];
    const into = words[kind];
    const index = byte / 4 + at;
    if (typeof value === "number") into[index] = value;
    else if (typeof value === "boolean") into[index] = Number(value);
    else if (value === undefined || value instanceof Tensor)
      throw new Error(`${label}: '${name}' must be a number, got ${value}`);
    else for (let i = 0; i < value.length; i++) into[index + i] = value[i]!;
  }
}
