// Measures how much each term of a loss moves a network: the norm of its weighted gradient, as a share of the
// whole loss's. It is measured at the logits and at every tap that the method compares; there the gradients
// of terms on the logits come back through the rest of the network. A term that does not reach a place has
// the share 0.
//
// The network runs once, without a tape, in training mode; the losses are then differentiated by its outputs
// alone, so that all shares together cost about as much as one step. Running statistics are restored
// afterwards.

import {
  cast,
  type Device,
  free,
  GradientGuard,
  keep,
  partials,
  Tensor,
  weightedSum,
} from "../../engine/index.ts";
import { total, type Terms } from "../../model/losses/losses.ts";
import type { DeviceBatch } from "../../model/methods/index.ts";
import { architectureOf } from "../../model/networks/network.ts";
import { type BatchOutput, whole } from "../../model/networks/parts.ts";
import type { Group, Member } from "./members.ts";
import { runStep, type StepOptions, type StepPlace, tailOf } from "./step.ts";

const LOGITS = "logits";

/** A gradient's norm on the GPU, not read yet. */
interface Norm {
  place: string;
  term: string;
  value: Tensor;
}

/** A run of a network; the losses are differentiated by its outputs. */
interface Leaf {
  member: Member;
  mode: "train" | "eval";
  wanted: readonly string[];
  output: BatchOutput;
}

/**
 * Each term's share of the gradient, by place and term; places of groups other than "main" have their name as
 * prefix.
 */
export async function gradientShares(
  device: Device,
  options: StepOptions,
  batch: Readonly<Record<string, DeviceBatch>>,
  place: StepPlace,
  groups: ReadonlyMap<string, Group>,
): Promise<Record<string, Record<string, number>>> {
  const norms = recordShares(device, options, batch, place, groups);
  const values = await Promise.all(norms.map(({ value }) => value.item()));
  norms.forEach(({ value }) => free(value));
  const shares: Record<string, Record<string, number>> = {};
  const totals = new Map(norms.flatMap(({ place: at, term }, i) => (term === "" ? [[at, values[i]!]] : [])));
  for (const [i, { place: at, term }] of norms.entries()) {
    const norm = totals.get(at)!;
    if (term !== "") (shares[at] ??= {})[term] = norm > 0 ? values[i]! / norm : 0;
  }
  return shares;
}

/** Records the kernels of gradientShares(); the caller frees the norms. The term "" is the whole loss. */
export function recordShares(
  device: Device,
  options: StepOptions,
  batch: Readonly<Record<string, DeviceBatch>>,
  place: StepPlace,
  groups: ReadonlyMap<string, Group>,
): Norm[] {
  const norms: Norm[] = [];
  const statistics = Object.values(options.members).flatMap(({ params }) => params.statistics);
  const before = statistics.map((t) => keep(copyOf(t)));
  const meter = new GradientGuard(device);
  const leaves: Leaf[] = [];
  let replay: { at: string; next: number } | null = null;
  device.phase = "gradient shares";
  runStep(options, batch, place, {
    after: () => undefined,
    replace(member, how, run) {
      if (replay) return leafOutput(leaves[replay.next++]!, replay.at);
      const wanted = how.taps ?? [];
      const output = run({ ...how, taps: [...new Set([...wanted, ...neededBy(member, wanted)])] });
      leaves.push({ member, mode: how.mode, wanted, output });
      return output;
    },
    update(name, make) {
      leaves.length = 0;
      replay = null;
      const terms = Object.entries(make()).filter(([, [weight]]) => weight !== 0);
      const again = (at: string): Terms => {
        replay = { at, next: 0 };
        return make();
      };
      const { seed } = groups.get(name)!.guard;
      const prefix = name === "main" ? "" : `${name}.`;
      for (const at of placesOf(leaves)) {
        const sources = leaves.flatMap((leaf) => tensorsAt(leaf, at));
        if (!sources.length) continue; // the group trains tensors of the method alone
        const measure = (term: string, loss: () => Tensor) => {
          meter.check(partials(sources, loss, seed).map((gradient) => cast(gradient, "f32")));
          norms.push({ place: prefix + at, term, value: readLater(device, meter) });
        };
        measure("", () => total(again(at)));
        for (const [term] of terms) measure(term, () => weightedSum([again(at)[term]!]));
      }
    },
  });
  for (const [i, t] of statistics.entries()) {
    device.copy(before[i]!.buffer, before[i]!.storage.offset, t.buffer, t.storage.offset, 4 * t.size);
    free(before[i]!);
  }
  meter.free();
  device.phase = "";
  return norms;
}

/** The logits, and the method's taps in networks that can run from a tap on. */
function placesOf(leaves: readonly Leaf[]): string[] {
  const taps = leaves.flatMap(({ member, wanted }) => (architectureOf(member).tail ? wanted : []));
  return [...new Set([LOGITS, ...taps])];
}

function tensorsAt({ output }: Leaf, at: string): readonly Tensor[] {
  return at === LOGITS ? [output.logits, ...output.coarse] : (output.taps[at] ?? []);
}

/** A run's output with everything after a place computed again, from the place's features. */
function leafOutput({ member, mode, output }: Leaf, at: string): BatchOutput {
  const parts = output.taps[at];
  if (at === LOGITS || !parts) return output;
  const downstream = Object.keys(output.taps);
  const tails = parts.map((features, i) => {
    const from = Object.fromEntries(Object.entries(output.taps).map(([name, list]) => [name, list[i]!]));
    return tailOf(member, at, features, { mode, from, taps: downstream });
  });
  const coarse = output.coarse.map((logits, level) =>
    tails[0]!.coarse[level] ? whole(tails.map((tail) => tail.coarse[level]!)) : logits,
  );
  const taps = Object.fromEntries(
    downstream.map((name) => {
      const later = name !== at && tails.every((tail) => name in tail.taps);
      return [name, later ? tails.map((tail) => tail.taps[name]![0]!) : output.taps[name]!];
    }),
  );
  return { logits: whole(tails.map(({ logits }) => logits)), taps, coarse };
}

/** The encoder's outputs that the rest of the network after these taps needs for its skips. */
function neededBy(member: Member, taps: readonly string[]): string[] {
  return taps.flatMap((tap) => [...(architectureOf(member).neededAfter?.(tap) ?? [])]);
}

function copyOf(t: Tensor): Tensor {
  const copy = new Tensor(t.device, t.shape);
  t.device.copy(t.buffer, t.storage.offset, copy.buffer, copy.storage.offset, 4 * t.size);
  return copy;
}

/** Copies the norm that the meter just measured to a tensor of its own. */
function readLater(device: Device, { verdict }: GradientGuard): Tensor {
  const value = keep(new Tensor(device, []));
  device.copy(verdict.norm.buffer, verdict.norm.storage.offset, value.buffer, value.storage.offset, 4);
  return value;
}
