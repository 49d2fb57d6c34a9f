// PyTorch's values and gradients of every operation, from ../shared/golden/make.py: evaluated in float64 on
// float32 inputs. A case is compared as a whole: value, and the gradient of every input that has one.
// Without that folder the tests are skipped, and say so.

import { existsSync, readFileSync } from "node:fs";
import { vjp } from "../engine/tape.ts";
import { type Tensor, tensor } from "../engine/tensor.ts";
import { decodeSafetensors } from "../model/checkpoint.ts";
import { type Array64, close, device, TOLERANCE } from "./gradcheck.ts";

const FOLDER = new URL("../../shared/golden/", import.meta.url);

export interface GoldenCase {
  in: Record<string, Array64>;
  out: Array64;
  gout: Array64;
  /** Of those inputs that are differentiated. */
  gin: Record<string, Array64>;
  /** What the case has besides, by its name: running statistics after the step. */
  more: Record<string, Array64>;
  /** As PyTorch's function takes them. */
  attributes: Record<string, unknown>;
  /** Relative errors of PyTorch's own float32: of `out`, and of the gradient by input. */
  float32: Record<string, number>;
}

interface Golden {
  tensors: Map<string, Array64>;
  cases: Record<string, { float32: Record<string, number> } & Record<string, unknown>>;
}

let golden: Golden | null | undefined;

/** A case by its name in cases.json; undefined where there is no golden folder. */
export function goldenCase(name: string): GoldenCase | undefined {
  golden ??= existsSync(FOLDER) ? open() : null;
  if (!golden) return undefined;
  const { float32, ...attributes } =
    golden.cases[name] ?? fail(`no case '${name}'; there are ${Object.keys(golden.cases).join(", ")}`);
  const result: GoldenCase = { in: {}, out: NONE, gout: NONE, gin: {}, more: {}, attributes, float32 };
  for (const [key, array] of golden.tensors) {
    const [owner, role, input] = key.split(".");
    if (owner !== name || !role) continue;
    if (role === "out" || role === "gout") result[role] = array;
    else if (input && (role === "in" || role === "gin")) result[role][input] = array;
    else result.more[role] = array;
  }
  return result;
}

/**
 * Registers a test that `run` gives the case's value and gradients, each with a relative error of at most
 * 5e-6 or five times that of PyTorch's float32. `after` sees the case and the tensors `run` was given.
 */
export function goldenTest(
  test: (name: string, body: () => Promise<void>) => void,
  name: string,
  run: (tensors: Record<string, Tensor>, attributes: Record<string, unknown>) => Tensor,
  after?: (tensors: Record<string, Tensor>, golden: GoldenCase) => Promise<void>,
): void {
  const title = `${name} agrees with PyTorch`;
  const expected = goldenCase(name);
  if (!expected) {
    console.log(`SKIPPED: ${title}: ../shared/golden is missing`);
    return;
  }
  test(title, async () => {
    const { out, gout, gin, attributes, float32 } = expected;
    const tensors = Object.fromEntries(Object.entries(expected.in).map(([k, a]) => [k, upload(a)]));
    const names = Object.keys(gin);
    const params = names.map((k) => tensors[k]!);
    const cotangent = upload(gout.data.length === 1 ? { ...gout, shape: [] } : gout); // a scalar is stored as [1]
    const { output, grads } = vjp(params, () => run(tensors, attributes), cotangent);
    close(await output.read(), out.data, tolerance(float32.out), "value");
    for (const [i, k] of names.entries()) {
      close(await grads[i]!.read(), gin[k]!.data, tolerance(float32[k]), `gradient of ${k}`);
    }
    await after?.(tensors, expected);
  });
}

const NONE: Array64 = { shape: [0], data: new Float64Array() };

function upload({ shape, data }: Array64): Tensor {
  return tensor(device, shape, data);
}

function tolerance(float32 = 0): number {
  return Math.max(TOLERANCE, 5 * float32);
}

function open(): Golden {
  const cases = JSON.parse(readFileSync(new URL("cases.json", FOLDER), "utf8")) as Golden["cases"];
  const { tensors: stored } = decodeSafetensors(
    readFileSync(new URL("ops.safetensors", FOLDER)),
    "ops.safetensors",
  );
  const tensors = new Map<string, Array64>();
  for (const [name, { shape, data }] of Object.entries(stored)) {
    tensors.set(name, { shape, data: Float64Array.from(data, Number) });
  }
  return { tensors, cases };
}

function fail(message: string): never {
  throw new Error(`golden: ${message}`);
}
