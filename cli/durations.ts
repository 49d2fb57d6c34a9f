// Lengths of time, and how often a run is saved, as users say them: 6h, 90m, 30s; 200 for steps.

import { UsageError } from "./command.ts";

const UNITS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };

/** "6h", "90m", "1h30m" or "30s" in seconds; throws a UsageError, which names `flag`, for all else. */
export function parseDuration(text: string, flag: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([hms])/g)];
  const seconds = parts.reduce((sum, [, value, unit]) => sum + Number(value) * UNITS[unit!]!, 0);
  const whole = parts.map(([part]) => part).join("") === text;
  if (whole && Number.isFinite(seconds) && seconds > 0) return seconds;
  throw new UsageError(`${flag}: expected a time such as 6h, 90m or 30s, got ${text}`);
}

/** After how much a run is saved within an epoch: seconds, or steps; the other is null. */
export interface Interval {
  seconds: number | null;
  steps: number | null;
}

/** "5m" or "200" (steps); throws a UsageError for all else. */
export function parseInterval(text: string, flag: string): Interval {
  if (/^[1-9]\d{0,8}$/.test(text)) return { seconds: null, steps: Number(text) };
  try {
    return { seconds: parseDuration(text, flag), steps: null };
  } catch {
    throw new UsageError(`${flag}: expected a time such as 5m, or a number of steps, got ${text}`);
  }
}
