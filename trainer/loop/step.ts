// Runs one step of a method: it sets the mode of each network and hands the updates to the caller, who
// trains, rehearses or measures (shares.ts) the step.

import { type Device, Random, scope, Tensor } from "../../engine/index.ts";
import type { DeviceBatch, Method, Runnable, Step } from "../../model/methods/index.ts";
import type { Terms } from "../../model/losses/losses.ts";
import { architectureOf, scopedOutput } from "../../model/networks/network.ts";
import { type BatchOutput, forwardBatch, inOnePart, samplesTogether } from "../../model/networks/parts.ts";
import type { How } from "../../model/networks/architecture.ts";
import { type Control, rolled } from "./controls.ts";
import type { Member, Members } from "./members.ts";

/** The place of a step in the training. */
export interface StepPlace {
  done: number;
  phase: string;
  /** The step's number, counted from 1, for its random numbers. */
  number: number;
}

/** Handles a step's updates. */
export interface StepActions {
  update(group: string, terms: () => Terms): void;
  after(change: () => void): void;
  /** Takes what a step observes; by default nothing does. */
  observe?(names: readonly string[], values: Tensor): void;
  /** Called at the end of the step, while its tensors are there. */
  finish?(): void;
  /** Replaces a trained network's run within update(); null to run it. */
  replace?(member: Member, how: How, run: (how: How) => BatchOutput): BatchOutput | null;
}

export interface StepOptions {
  method: Method;
  settings: unknown;
  members: Members;
  own: Readonly<Record<string, Tensor>>;
  patch: readonly number[];
  seed: number;
  /** By default "none". */
  control?: Control;
}

/** Runs the method's step on batches that are on the device. */
export function runStep(
  { method, settings, members, own, patch, seed, control }: StepOptions,
  batch: Readonly<Record<string, DeviceBatch>>,
  { done, phase, number }: StepPlace,
  actions: StepActions,
): void {
  const sized = Object.values(members).map((member) => ({ ...member, trained: "group" in member.role }));
  const together = (device: Device, samples: number) => samplesTogether(device, sized, samples, patch);
  for (const { cases } of Object.values(batch))
    together(Object.values(members)[0]!.params.device, cases.length); // before any upload
  let updating: string | null = null;
  const runnable = (name: string, member: Member): Runnable => {
    const { device } = member.params;
    const run = (x: Tensor, how: How) => {
      device.phase = `${name} forward`;
      const output = forwardBatch(member, x, how, together(device, x.shape[0]!));
      const shown = control === "shuffled" && "frozen" in member.role ? rolled(output) : output;
      if (updating !== null) device.phase = "losses";
      return shown;
    };
    return {
      spec: member.spec,
      run(input, how = {}) {
        const trains = updating !== null && "group" in member.role;
        const full: How = { mode: trains ? "train" : "eval", ...how };
        const x = input instanceof Tensor ? input : inputOf(member, input);
        const replaced = trains ? actions.replace?.(member, full, (other) => run(x, other)) : null;
        return replaced ?? run(x, full);
      },
      tail: (tap, features, from = {}) => tailOf(member, tap, features, { mode: "eval", from }),
    };
  };
  const context: Step<string, unknown, string> = {
    networks: Object.fromEntries(Object.entries(members).map(([name, m]) => [name, runnable(name, m)])),
    own,
    batch,
    settings,
    done,
    phase,
    random: new Random(seed * 2 ** 21 + number),
    update(group, terms) {
      if (updating !== null)
        throw new Error(`method ${method.name}: update("${group}") within update("${updating}")`);
      updating = group;
      try {
        actions.update(group, terms);
      } finally {
        updating = null;
      }
    },
    observe: (names, values) => actions.observe?.(names, values),
    after: (change) => actions.after(change),
  };
  scope(() => {
    method.step(context as never);
    actions.finish?.();
  });
}

/** A network's input: its modalities, or those that are drawn or at hand. */
function inputOf({ spec: { modalities, any }, role }: Member, batch: DeviceBatch): Tensor {
  if (!any) return batch.images(modalities);
  return batch.anyImages(modalities, "group" in role ? "drawn" : "every");
}

/** Runs the rest of a network after a tap. Throws for a kind of network that cannot. */
export function tailOf(
  member: Member,
  tap: string,
  features: Tensor,
  how: How & { from: Readonly<Record<string, Tensor>> },
): BatchOutput {
  const { tail } = architectureOf(member);
  if (!tail) throw new Error(`${architectureOf(member).kind}: this kind of network has no tail`);
  return inOnePart(scopedOutput(() => tail(member.params, tap, features, member.config, how)));
}
