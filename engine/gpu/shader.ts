// Kernels, read from shaders/*.wgsl. The file alone describes them: reflection finds its entry points, the
// names of its variables, its uniforms and its overrides, and a call names them. A caller need not know
// whether a number is a uniform or an override.
//
// A file with `alias real = f32;` has a twin for half precision, where real is f16. It runs where the tensors
// declared as array<real>, array<vec4<real>> or array<stored> are f16, which all of them must be.
//
// A file with `alias wide = f32;` has a twin that works on four values at a time: wide is vec4f there, stored
// a vec4<real>, and word a vec4<u32>. It runs where the override WIDE is true.
//
// A grid that is a number has an invocation for each element, or for EACH elements where a kernel uses that
// override.
//
// A kernel whose uniforms have a member `first` can be cut: `first` is the index of its first invocation, and
// a call of more work than a submission may hold becomes several dispatches.

import { ResourceType, WgslReflect, type FunctionInfo } from "wgsl_reflect/wgsl_reflect.module.js";
import type { Layout, Signature } from "./bindings.ts";
import { constantsOf, declarationsOf, overridesOf } from "./declarations.ts";
import type { Device } from "./device.ts";
import { type GroupCounts, type Kernel, spread } from "./grid.ts";
import { isOperand, type Operand, type Precision } from "./operand.ts";
import { type Args, membersOf, put } from "./uniforms.ts";
import { Words } from "./words.ts";
import type { Shaders } from "../../shaders/types.ts";

/** The kernels of a file, by entry point. */
export type Kernels = Readonly<Record<string, Kernel<Args>>>;

/** The kernels of shaders/<name>.wgsl by entry point, and its `constants`, those of constantsOf(). */
export async function shader<Name extends keyof Shaders>(name: Name): Promise<Shaders[Name]> {
  const code = await text(new URL(`../../shaders/${name}.wgsl`, import.meta.url));
  const declarations = declarationsOf(code);
  const constants = constantsOf(declarations);
  return { ...kernels(`${name}.wgsl`, code, declarations), constants } as unknown as Shaders[Name];
}

/**
 * The kernels of a shader's text. Its `file` names it in errors, profiles and pipelines, and must be unique.
 */
export function kernels(file: string, code: string, declarations = declarationsOf(code)): Kernels {
  const reflection = new WgslReflect(code);
  const overrides = declarations.filter(({ kind }) => kind === "override");
  const defaults = new Map(overrides.map(({ name, value }) => [name, value]));
  const known = new Set([
    ...defaults.keys(),
    ...reflection.storage.map((v) => v.name),
    ...reflection.uniforms.flatMap((u) => u.members?.map((m) => m.name) ?? []),
  ]);
  const reals = new Set(
    Array.from(code.matchAll(/ (\w+): array<(?:real|vec4<real>|stored)>/g), ([, variable]) => variable!),
  );
  return Object.fromEntries(
    reflection.entry.compute.map((entry) => [
      entry.name,
      kernel({
        label: `${file}/${entry.name}`,
        file,
        code,
        entry,
        known,
        defaults,
        reals,
      }),
    ]),
  );
}

async function text(url: URL): Promise<string> {
  if (url.protocol === "file:") return (await import("node:fs/promises")).readFile(url, "utf8");
  if (url.protocol === "data:") return decoded(url); // the bundler put the shader into the module
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status} ${response.statusText}`);
  return response.text();
}

/** The text of a base64 data URL, without fetch(): a page's policy may allow its own files only. */
function decoded({ pathname }: URL): string {
  const bytes = Uint8Array.from(atob(pathname.slice(pathname.indexOf(",") + 1)), (c) => c.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

interface Source {
  label: string;
  /** Bindings of real values, which take tensors of either precision. */
  reals: ReadonlySet<string>;
  file: string;
  code: string;
  entry: FunctionInfo;
  known: ReadonlySet<string>;
  defaults: ReadonlyMap<string, number | null>; // of the overrides; null where a call must give the value
}

/** Throws for an argument that the file does not declare, and for an override without a value. */
function checkArgs({ label, known }: Source, needed: readonly string[], args: Args): void {
  for (const name in args) {
    if (!known.has(name))
      throw new Error(`${label}: unknown '${name}'; the file declares ${[...known].join(", ")}`);
  }
  for (const name of needed) {
    if (args[name] === undefined) throw new Error(`${label}: override '${name}' has no value`);
  }
}

function kernel(source: Source): Kernel<Args> {
  const { label, entry, defaults, reals } = source;
  const overrides = overridesOf(entry).map(({ name }) => name);
  const needed = overrides.filter((name) => defaults.get(name) === null);
  const uniform = entry.resources.find((r) => r.resourceType === ResourceType.Uniform) ?? null;
  const storage = entry.resources.filter((r) => r.resourceType === ResourceType.Storage);
  const buffers = storage.map(({ name, binding, access }) => {
    return { name, binding, writable: access === "read_write", real: reals.has(name) };
  });
  const signature: Signature = { buffers, uniform };
  const members = membersOf(uniform);
  const first = members.some(({ name }) => name === "first");
  const workgroupSize = `${[entry.attributes?.find((a) => a.name === "workgroup_size")?.value].flat()[0] ?? 1}`;
  const each = overrides.includes("EACH") ? (defaults.get("EACH") ?? 1) : 1;

  return (args, grid) => {
    checkArgs(source, needed, args);
    let elements = 0;
    let precision: Precision | null = null; // of the bindings of array<real>
    const bound: GPUBufferBinding[] = [];
    for (const { name, real } of buffers) {
      const value = args[name];
      if (!isOperand(value)) throw new Error(`${label}: '${name}' must be a tensor, got ${value}`);
      elements += value.size;
      if (!real && value.precision !== "f32") throw new Error(`${label}: '${name}' must be f32, got f16`);
      if (real && value.precision !== (precision ??= value.precision))
        throw new Error(
          `${label}: '${name}' is ${value.precision}, others are ${precision}: cast() one of them`,
        );
      bound.push(value.binding);
    }
    const { device } = args[buffers[0]!.name] as Operand;
    const layout = device.bindings.layout(signature);
    const pipeline = compile(device, source, layout, args, precision ?? "f32");
    if (!pipeline) return put(label, members, args, scratch, 0, 0); // throws where a number is missing
    const group = device.bindings.group(layout, bound);
    const width = Number(args[workgroupSize] ?? defaults.get(workgroupSize) ?? workgroupSize);
    const work = typeof grid === "number" ? 4 * elements : (grid.work ?? 4 * elements);

    const dispatch = (groups: GroupCounts, share: number, from = 0) => {
      device.reserve(share);
      const slot = uniform && device.slot();
      if (slot !== null) put(label, members, args, device.words, slot, from);
      device.dispatch(label, pipeline, group, slot, groups);
    };
    device.dispatches++;
    if (typeof grid === "object" && "groups" in grid) return dispatch(grid.groups, work);
    const invocations = Math.ceil((typeof grid === "number" ? grid : grid.invocations) / each);
    const pieces = first ? Math.min(Math.ceil(work / device.budget), Math.ceil(invocations / width)) : 1;
    const piece = Math.ceil(invocations / pieces / width) * width;
    for (let from = 0; from < invocations; from += piece) {
      const groups = Math.ceil(Math.min(piece, invocations - from) / width);
      dispatch(spread(groups, device.widest), work / pieces, from);
    }
  };
}

const scratch = new Words(256);

/** The pipeline of a call. While a plan is made, null: the plan notes the pipelines that the device lacks. */
function compile(
  device: Device,
  { label, file, code, entry, defaults }: Source,
  layout: Layout,
  args: Args,
  precision: Precision,
): GPUComputePipeline | null {
  let values = "";
  for (const name of defaults.keys()) {
    if (args[name] !== undefined) values += `${values && ","}"${name}":${Number(args[name])}`;
  }
  const key = `${label} {${values}}${precision === "f16" ? " f16" : ""}`;
  const known = device.pipelines.get(key);
  if (known || device.plan?.has(key)) return device.plan ? null : known!;
  const module = device.gpu.createShaderModule({
    label: file,
    code: twin(code, { half: precision === "f16", wide: Boolean(args["WIDE"]) }),
  });
  const given = [...defaults.keys()].filter((name) => args[name] !== undefined);
  const constants = Object.fromEntries(given.map((name) => [name, Number(args[name])]));
  const compute = { module, entryPoint: entry.name, constants };
  const descriptor: GPUComputePipelineDescriptor = { label: key, layout: layout.pipeline, compute };
  if (device.plan) {
    device.plan.set(key, { descriptor, layout });
    return null;
  }
  const pipeline = device.gpu.createComputePipeline(descriptor);
  device.pipelines.set(key, pipeline);
  return pipeline;
}

/** The twin of a shader that a call needs. Lines keep their numbers, so that errors name the right one. */
export function twin(code: string, { half, wide }: { half: boolean; wide: boolean }): string {
  const sized = wide
    ? code
        .replace("alias wide = f32;", "alias wide = vec4f;")
        .replace("alias stored = real;", "alias stored = vec4<real>;")
        .replace("alias word = u32;", "alias word = vec4<u32>;")
    : code;
  return half ? `enable f16; ${sized.replace("alias real = f32;", "alias real = f16;")}` : sized;
}
