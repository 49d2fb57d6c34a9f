// Lists without a limit of their length: a spread such as Math.min(...list) passes every value on the stack,
// and throws a RangeError from some 120,000 values on.

/** The smallest of the values, at most `most`; NaN if one is. */
export function smallest(values: Iterable<number>, most = Infinity): number {
  let least = most;
  for (const value of values) least = Math.min(least, value);
  return least;
}

/** The largest of the values, at least `least`; NaN if one is. */
export function largest(values: Iterable<number>, least = -Infinity): number {
  let most = least;
  for (const value of values) most = Math.max(most, value);
  return most;
}

/** Adds all items to the end of a list. */
export function append<Item>(list: Item[], items: Iterable<Item>): void {
  for (const item of items) list.push(item);
}

/** The reason why a text is not JSON, without any of the text: it may be another file than it should be. */
export function jsonFault(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.includes("is not valid JSON") ? "an unexpected character" : message;
}
