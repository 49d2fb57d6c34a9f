// Lengths of time, and how often a run is saved, as users say them: 6h, 90m, 30s; 200 for steps.

const TIME = /^(?=\d)(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?$/;
const STEPS = /^[1-9]\d{0,8}$/;

/** Whether a text is a length of time: 6h, 90m, 1h30m, 30s, none of them 0. */
export function isDuration(text: string): boolean {
  return TIME.test(text) && parseDuration(text) > 0;
}

/** A length of time in seconds; NaN for what is none. */
export function parseDuration(text: string): number {
  const [whole, h = 0, m = 0, s = 0] = TIME.exec(text) ?? [];
  return whole === undefined ? NaN : 3600 * Number(h) + 60 * Number(m) + Number(s);
}

/** After how much a run is saved within an epoch: seconds, or steps; the other is infinite. */
export interface Interval {
  seconds: number;
  steps: number;
}

/** Whether a text is a length of time, or a number of steps. */
export function isInterval(text: string): boolean {
  return STEPS.test(text) || isDuration(text);
}

/** "5m" or "200". */
export function parseInterval(text: string): Interval {
  if (STEPS.test(text)) return { seconds: Infinity, steps: Number(text) };
  return { seconds: parseDuration(text), steps: Infinity };
}
