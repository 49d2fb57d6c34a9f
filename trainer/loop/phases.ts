// The phases of a training and their epochs.

import type { Phase } from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";
import type { PhaseDone } from "./members.ts";
import type { StepPlace } from "./step.ts";

/** The place of a step, with what the optimizers need of it. */
export type Place = StepPlace & PhaseDone;

interface Stretch extends Phase {
  /** Its first epoch, and the first after it. */
  from: number;
  to: number;
}

export class Phases {
  readonly #epochs: number;
  readonly #stretches: readonly Stretch[];

  /** Shares `epochs` between the phases, by default one. Throws a UsageError if a phase has no epoch. */
  constructor(phases: readonly Phase[] = [{ name: "training", share: 1 }], epochs: number) {
    this.#epochs = epochs;
    let share = 0;
    let from = 1;
    this.#stretches = phases.map((phase, i) => {
      share += phase.share;
      const to = i === phases.length - 1 ? epochs + 1 : Math.round(share * epochs) + 1;
      const stretch = { ...phase, from, to };
      from = to;
      return stretch;
    });
    const empty = this.#stretches.find((stretch) => stretch.to <= stretch.from);
    if (empty)
      throw new UsageError(
        `--epochs ${epochs}: too few for the method's phases, for "${empty.name}" would have none: use more`,
      );
  }

  /** The phase's name at an epoch. */
  name(epoch: number): string {
    return this.#at(epoch).name;
  }

  /** True if an epoch is in the last phase: the only one that a patience ends. */
  isLast(epoch: number): boolean {
    return this.#at(epoch) === this.#stretches.at(-1);
  }

  /** The part of its phase, with those that continue it, that is done after a part of an epoch. */
  done(epoch: number, part = 0): number {
    const begun = this.#stretches.filter(({ continues }) => !continues);
    const { from } = begun.findLast((stretch) => stretch.from <= epoch)!;
    const { from: to } = begun.find((stretch) => stretch.from > epoch) ?? {
      from: this.#stretches.at(-1)!.to,
    };
    return (epoch - from + part) / (to - from);
  }

  /** The place within an epoch after so many steps of the training. */
  place(epoch: number, steps: number, stepsPerEpoch: number): Place {
    return {
      done: steps / (this.#epochs * stepsPerEpoch),
      phase: this.name(epoch),
      phaseDone: this.done(epoch),
      exactlyDone: this.done(epoch, steps / stepsPerEpoch - (epoch - 1)),
      number: steps + 1,
    };
  }

  /** The networks to reset to their first weights when this epoch begins. */
  restarting(epoch: number): readonly string[] {
    const stretch = this.#at(epoch);
    return stretch.from === epoch && epoch > 1 ? (stretch.restart ?? []) : [];
  }

  /** The phase of an epoch. */
  at(epoch: number): Phase {
    return this.#at(epoch);
  }

  /** Tells whether the best network of the epochs before does not count any more when this one begins. */
  forgets(epoch: number): boolean {
    const { from, forgets = false } = this.#at(epoch);
    return forgets && from === epoch && epoch > 1;
  }

  #at(epoch: number): Stretch {
    return this.#stretches.find(({ to }) => epoch < to) ?? this.#stretches.at(-1)!;
  }
}
