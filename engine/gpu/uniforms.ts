// Uniforms: how the members of a shader's struct lie in memory.

import type { VariableInfo } from "wgsl_reflect/wgsl_reflect.module.js";
import { isOperand, type Operand } from "./operand.ts";
import type { Words } from "./words.ts";

/** The arguments of a call, by their names in the shader. */
export type Args = Readonly<Record<string, Operand | number | boolean | readonly number[] | undefined>>;

/** A member of a uniform struct: where it lies, in words, and the kind of its numbers. */
export interface Member {
  name: string;
  at: number;
  kind: "u32" | "i32" | "f32";
}

/** The members of a uniform struct. */
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

/** Writes the uniforms of a call at a byte of `words`. `first` is the index of its first invocation. */
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
    else if (value === undefined || isOperand(value))
      throw new Error(`${label}: '${name}' must be a number, got ${value}`);
    else for (let i = 0; i < value.length; i++) into[index + i] = value[i]!;
  }
}
