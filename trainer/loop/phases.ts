// The phases of a training and their epochs.

import type { Phase } from "../../model/methods/index.ts";
import { UsageError } from "../../model/settings/errors.ts";

interface Stretch extends Phase {
  /** Its first epoch, and the first after it. */
  from: number;
  to: number;
}

export class Phases {
  readonly #stretches: readonly Stretch[];

  /** Shares `epochs` between the phases, by default one. Throws a UsageError if a phase has no epoch. */
  constructor(phases: readonly Phase[] = [{ name: "training", share: 1 }], epochs: number) {
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

  /** The part of its phase that is done when an epoch begins, from 0 to 1. */
  done(epoch: number): number {
    const { from, to } = this.#at(epoch);
    return (epoch - from) / (to - from);
  }

  /** The networks to reset to their first weights when this epoch begins. */
  restarting(epoch: number): readonly string[] {
    const stretch = this.#at(epoch);
    return stretch.from === epoch && epoch > 1 ? (stretch.restart ?? []) : [];
  }

  /** The method's own tensors that stay as they are at an epoch, by their names. */
  held(epoch: number): readonly string[] {
    return this.#at(epoch).holds ?? [];
  }

  #at(epoch: number): Stretch {
    return this.#stretches.find(({ to }) => epoch < to) ?? this.#stretches.at(-1)!;
  }
}
