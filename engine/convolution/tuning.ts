// Which kernels a device's convolutions run, and in which sizes. Kernels differ in how they round; the same
// choice gives the same bits. Without a choice the default of each family runs; tune.ts measures.

import type { Device } from "../gpu/device.ts";
import { isChoice, type Tuned } from "./classes.ts";
import { candidatesOf, classesOf, type Family, FAMILY_NAMES, namesOf } from "./families.ts";
import type { Abilities, Choice } from "./row.ts";

/** The choice of each family. Plain JSON: config.json records it, and the user's cache keeps it. */
export type Tuning = Readonly<Record<Family, Tuned>>;
type OneEach = Readonly<Record<Family, Choice>>;
export type Candidates = Readonly<Record<Family, readonly Choice[]>>;

/** The names of all kernels. A kept choice is measured anew when they change. */
export const KERNELS = FAMILY_NAMES.map((family) => `${family} ${namesOf(family).join(" ")}`).join(", ");

/** Returns everything that can run on a GPU, the default of each family first. */
export function candidates(gpu: Abilities): Candidates {
  return byFamily((family) => candidatesOf(family, gpu));
}

/** Returns the first candidates: the choice for a GPU that nothing has measured. */
export function defaultTuning(gpu: Abilities): OneEach {
  return byFamily((family) => candidatesOf(family, gpu)[0]!);
}

/** Returns the kernels that run everywhere, in their default sizes. The others are checked against them. */
export function plainTuning(gpu: Abilities): OneEach {
  return byFamily((family) => candidatesOf(family, gpu).find(({ kernel }) => kernel === "plain")!);
}

/** Returns the kernels that a device runs: those chosen for it, or else the defaults. */
export function tuningOf(device: Device): Tuning {
  return (device.tuning ??= defaultTuning(device)) as Tuning;
}

/** Calls f with other kernels for some families. */
export function withTuning<Result>(device: Device, choices: Partial<Tuning>, f: () => Result): Result {
  const before = tuningOf(device);
  device.tuning = { ...before, ...choices };
  try {
    return f();
  } finally {
    device.tuning = before;
  }
}

/** Returns true if a value, perhaps from a file, is a choice for this GPU. */
export function isTuning(value: unknown, gpu: Abilities): value is Tuning {
  const found = (value ?? {}) as Partial<Record<Family, Tuned>>;
  return Object.entries(candidates(gpu)).every(([name, choices]) => {
    const family = name as Family;
    const isKnown = (choice: unknown) => choices.some((known) => text(known) === text(choice));
    const tuned = found[family];
    if (typeof tuned !== "object" || tuned === null || isChoice(tuned)) return isKnown(tuned);
    return classesOf(family).every((name) => isKnown(tuned[name]));
  });
}

const text = (value: unknown) => JSON.stringify(value);

function byFamily<Value>(value: (family: Family) => Value): Record<Family, Value> {
  return Object.fromEntries(FAMILY_NAMES.map((family) => [family, value(family)])) as Record<Family, Value>;
}
