// Commands inside a test: what they print is kept from the screen, and what they refuse is looked at.

import { train } from "../../cli/stages/training.ts";
import { resolveConfig, type TrainFlags } from "../../cli/stages/trainFlags.ts";
import type { Device } from "../../engine/index.ts";
import { device } from "./gradcheck.ts";

/** The lines that `act` prints, which are not shown. */
export async function silenced(act: () => Promise<unknown>): Promise<string[]> {
  const { log } = console;
  const lines: string[] = [];
  console.log = (line: string) => void lines.push(line);
  try {
    await act();
  } finally {
    console.log = log;
  }
  return lines;
}

/** Trains as the command does; what it prints. */
export function trainQuietly(
  flags: TrainFlags,
  open = (): Promise<Device> => Promise.resolve(device),
): Promise<string[]> {
  return silenced(async () => train(open, await resolveConfig(flags)));
}

/** The error that `act` ends in. */
export function failure(act: () => Promise<unknown>): Promise<Error> {
  return act().then(
    () => new Error("nothing was refused"),
    (error: Error) => error,
  );
}
