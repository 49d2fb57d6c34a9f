// Durations such as 6h, 90m or 30s, and intervals, which may also be a number of steps such as 200.

const TIME = /^(?=\d)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?$/;
const STEPS = /^[1-9]\d*$/;

/** The longest duration: a year. */
export const LONGEST = "8760h";

/** The largest number of steps of an interval. */
export const MOST_STEPS = 1e9;

/** Tells whether a text is a duration above 0, at most LONGEST: 6h, 90m, 1h30m, 30s. */
export function isDuration(text: string): boolean {
  return TIME.test(text) && parseDuration(text) > 0 && parseDuration(text) <= parseDuration(LONGEST);
}

/** Parses a duration to seconds; NaN for any other text. */
export function parseDuration(text: string): number {
  const [whole, h = 0, m = 0, s = 0] = TIME.exec(text) ?? [];
  return whole === undefined ? NaN : 3600 * Number(h) + 60 * Number(m) + Number(s);
}

/** An interval in seconds or in steps; the other one is infinite. */
export interface Interval {
  seconds: number;
  steps: number;
}

/** Tells whether a text is a duration or a number of steps. */
export function isInterval(text: string): boolean {
  return STEPS.test(text) ? Number(text) <= MOST_STEPS : isDuration(text);
}

/** Parses "5m" or "200". */
export function parseInterval(text: string): Interval {
  if (STEPS.test(text)) return { seconds: Infinity, steps: Number(text) };
  return { seconds: parseDuration(text), steps: Infinity };
}
