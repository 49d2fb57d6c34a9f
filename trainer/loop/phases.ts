// The phases of a training and their epochs.

import type { Phase } from "../../model/methods/index.ts";

interface Stretch extends Phase {
  /** Its first epoch, and the first after it. */
  from: number;
  to: number;
}

export class Phases {
  readonly #stretches: readonly Stretch[];

  /** Shares `epochs` between the phases, by default one. Throws if a phase has no epoch. */
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
      throw new Error(
        `phases: ${epochs} epochs are too few for the phase "${empty.name}": train for more epochs`,
      );
  }

  /** The phase's name at an epoch. */
  name(epoch: number): string {
    return this.#at(epoch).name;
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

  #at(epoch: number): Stretch {
    return this.#stretches.find(({ to }) => epoch < to) ?? this.#stretches.at(-1)!;
  }
}
