// The numbers that a shader's text declares.

import { type FunctionInfo, type OverrideInfo, WgslParser } from "wgsl_reflect/wgsl_reflect.module.js";

/** A `const`, or an `override` with its default: null where a call must give its value. */
export interface Declaration {
  name: string;
  kind: "const" | "override";
  value: number | null;
}

/** The declarations of a shader, in order, without `const`s that are vectors. */
export function declarationsOf(code: string): Declaration[] {
  return WgslParser.Parse(code).flatMap((node): Declaration[] => {
    const { astNodeType: kind, name, value } = node as unknown as Syntax;
    if (kind !== "const" && kind !== "override") return [];
    if (value && !value.isScalar) return [];
    return [{ name, kind, value: value && value.scalarValue }];
  });
}

/** A declaration in wgsl_reflect's syntax tree, its expression evaluated. */
interface Syntax {
  astNodeType: string;
  name: string;
  value: { isScalar: boolean; scalarValue: number } | null;
}

/** The values by name: of `const`s, and of `override`s that have a default. */
export function constantsOf(declarations: readonly Declaration[]): Record<string, number> {
  const values = declarations.flatMap(({ name, value }) => (value === null ? [] : [[name, value] as const]));
  return Object.fromEntries(values);
}

/** The overrides that an entry point uses, in its own body and in the functions that it calls; each once. */
export function overridesOf(entry: FunctionInfo): OverrideInfo[] {
  const functions = new Set([entry]);
  for (const { calls } of functions) for (const called of calls) functions.add(called);
  const used = Array.from(functions).flatMap(({ overrides }) => overrides);
  return [...new Map(used.map((override) => [override.name, override])).values()];
}
