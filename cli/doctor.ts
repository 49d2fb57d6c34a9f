// node cli/doctor.js: describes the adapter and the machine, checks that the engine computes correctly there,
// and gives a verdict in one line, for bug reports. Exits with 4 without a working adapter.

import { availableParallelism, cpus, freemem, release, totalmem, type } from "node:os";
import { Command } from "commander";
import { add, bytesText, defaultTuning, lanesOf, scope, tensor, type Tuning } from "../engine/index.ts";
import { largest } from "../engine/values.ts";
import { examples, isMain, runCommand } from "./terminal/command.ts";
import { jsonText, print } from "./terminal/console.ts";
import type { Toggles } from "./device/gpu.ts";
import { isSoftware, readTuning, tuningText } from "./device/tuning.ts";
import { chosenDriver } from "./device/vulkan.ts";

/** The limits that the engine profits from, with the least that WebGPU guarantees. */
const limitDefaults = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 2 ** 14,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupsPerDimension: 65535,
} satisfies Partial<Record<keyof GPUSupportedLimits, number>>;

/** An adapter as it describes itself. */
export interface AdapterReport {
  vendor: string;
  architecture: string;
  device: string;
  /** The driver's own description, often with its version. */
  description: string;
  /** True if the adapter is the CPU. */
  software: boolean;
  backend: string;
  /** The driver's manifest, if VK_DRIVER_FILES or this program chose one. */
  driverFile: string | null;
  /** The least and the most lanes of a subgroup; null without subgroups. */
  subgroupSizes: readonly [number, number] | null;
  limits: Record<string, { adapter: number; guaranteed: number }>;
  features: readonly string[];
}

/** The report; --json prints it as it is. `adapter` is null if no adapter was found. */
export interface Report {
  verdict: string;
  ready: boolean;
  adapter: AdapterReport | null;
  toggles: { mode: Toggles; enabled: readonly string[] };
  wgslLanguageFeatures: readonly string[];
  /** The convolution kernels: measured once, or the default ones. Null without an adapter. */
  tuning: { measured: boolean; choice: Tuning } | null;
  /** A wrong result of a kernel, or null if all are right. */
  fault: string | null;
  node: string;
  system: string;
  processor: string;
  cores: number;
  memoryBytes: { total: number; free: number };
}

/** Examines the adapter and the machine, and runs one kernel. */
export async function examine(): Promise<Report> {
  const { dawnToggles, defaultToggles, describe, gpu, noAdapter } = await import("./device/gpu.ts");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  const fault = adapter ? await selfCheck() : null;
  const report = adapter && describeAdapter(adapter);
  return {
    verdict: adapter ? verdict(describe(adapter.info), report?.software ?? false, fault) : noAdapter(),
    ready: report !== null && fault === null,
    adapter: report,
    tuning: adapter && (await tuningOf(adapter)),
    toggles: { mode: defaultToggles, enabled: dawnToggles[defaultToggles] },
    wgslLanguageFeatures: [...gpu.wgslLanguageFeatures].sort(),
    fault,
    node: process.version,
    system: `${type()} ${release()} ${process.arch}`,
    processor: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: { total: totalmem(), free: freemem() },
  };
}

/** The kernels that commands will use here; see tuning.ts. */
async function tuningOf(adapter: GPUAdapter): Promise<Report["tuning"]> {
  const gpu = { lanes: lanesOf(adapter), gpu: adapter };
  const kept = process.env["PROTOKD_TUNING"] === "off" ? null : await readTuning(adapter.info, gpu);
  return { measured: kept !== null, choice: kept ?? defaultTuning(gpu) };
}

function describeAdapter({ info, limits, features }: GPUAdapter): AdapterReport {
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = info;
  const names = Object.keys(limitDefaults) as (keyof typeof limitDefaults)[];
  const backends: Partial<Record<NodeJS.Platform, string>> = { darwin: "metal", win32: "d3d12" };
  return {
    vendor,
    architecture,
    device,
    description,
    software: isSoftware(info),
    backend: process.env["DAWNNODE_BACKEND"] ?? backends[process.platform] ?? "vulkan",
    driverFile: chosenDriver() ?? null,
    subgroupSizes: subgroupMinSize && subgroupMaxSize ? [subgroupMinSize, subgroupMaxSize] : null,
    limits: Object.fromEntries(
      names.map((name) => [name, { adapter: limits[name], guaranteed: limitDefaults[name] }]),
    ),
    features: [...features].sort(),
  };
}

/** A sum of whole numbers is exact in float32: any other result is a bug in the driver, or here. */
async function selfCheck(): Promise<string | null> {
  const size = 100_003;
  try {
    const { openDevice } = await import("./device/gpu.ts");
    const device = await openDevice();
    const a = Float32Array.from({ length: size }, (_, i) => i);
    const b = Float32Array.from({ length: size }, (_, i) => 7 * (i % 1013) - 3000);
    const sums = await scope(() => add(tensor(device, [size], a), tensor(device, [size], b))).read();
    const wrong = sums.findIndex((sum, i) => sum !== a[i]! + b[i]!);
    return wrong < 0
      ? null
      : `${a[wrong]} + ${b[wrong]} came out as ${sums[wrong]} (element ${wrong} of ${size})`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** One line for people; `adapter` is the adapter's description. */
export function verdict(adapter: string, software: boolean, fault: string | null): string {
  if (fault !== null) return `broken: ${adapter} fails a kernel: ${fault}`;
  if (!software) return `ready: ${adapter}`;
  const faster = /swiftshader/i.test(adapter)
    ? "Mesa's (lavapipe) is about 4 times faster, a GPU"
    : "a GPU is";
  return `works, but slowly: software adapter ${adapter}; ${faster} very much faster`;
}

/** The report as lines of `name  value`. */
export function text(report: Report): string {
  const { adapter, toggles, memoryBytes } = report;
  const number = (name: string, value: number) =>
    /Size$/.test(name) && value >= 4096 ? bytesText(value) : `${value}`;
  const rows: [string, string][] = [];
  if (adapter) {
    rows.push(["adapter", adapter.description || adapter.device || "unnamed"]);
    for (const name of ["vendor", "architecture", "device"] as const) rows.push([name, adapter[name] || "-"]);
    rows.push(["backend", adapter.backend + (adapter.driverFile ? `, driver ${adapter.driverFile}` : "")]);
    rows.push(["subgroups", adapter.subgroupSizes?.join(" to ") ?? "none"]);
    for (const [name, { adapter: most, guaranteed }] of Object.entries(adapter.limits)) {
      rows.push([name, `${number(name, most)} (WebGPU guarantees ${number(name, guaranteed)})`]);
    }
    rows.push(["features", adapter.features.join(", ")]);
    rows.push(["self-check", report.fault ?? "passed"]);
  }
  if (report.tuning)
    rows.push([
      "tuning",
      `${tuningText(report.tuning.choice)}; ${report.tuning.measured ? "measured" : "default"}`,
    ]);
  rows.push(["toggles", [toggles.mode, ...toggles.enabled].join(", ")]);
  rows.push(["WGSL", report.wgslLanguageFeatures.join(", ") || "-"]);
  rows.push(["Node", report.node], ["system", report.system]);
  rows.push(["processor", `${report.processor}, ${report.cores} cores`]);
  rows.push(["memory", `${bytesText(memoryBytes.total)}, ${bytesText(memoryBytes.free)} free`]);
  const width = largest(rows.map(([name]) => name.length));
  return [...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`), "", report.verdict].join("\n");
}

if (isMain(import.meta.url)) {
  const program = new Command("doctor")
    .description("Describes the GPU adapter and the machine, and checks that the engine computes correctly.")
    .addHelpText("after", examples("node cli/doctor.js", "node cli/doctor.js --json > doctor.json"))
    .option("--json", "print the report as JSON");
  const code = await runCommand<{ json?: boolean }>(program, async ({ json }) => {
    const report = await examine();
    print(json ? jsonText(report, 2) : text(report));
    if (!report.ready) process.exitCode = 4;
  });
  if (code !== 0) process.exitCode = code;
}
