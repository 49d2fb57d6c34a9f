// Whole numbers on the command line.

import { InvalidArgumentError } from "commander";

/** A whole number of at least `least`, as commander parses it. */
export function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`expected an integer of at least ${least}.`);
  };
}
