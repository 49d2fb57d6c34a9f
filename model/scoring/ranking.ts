// How well scores rank windows that show something above those that do not: pure functions, exact with ties.

/** A score, and whether what it is the score of is there. */
export interface Ranked {
  score: number;
  present: boolean;
}

/**
 * The area under the ROC curve: the chance that a score of something present is higher than one of something
 * absent, where equal scores count half. 0.5, as of scores that say nothing, where one of both is missing.
 * Throws for a score of NaN.
 */
export function areaUnderCurve(ranked: readonly Ranked[]): number {
  let [below, pairs] = [0, 0];
  for (const { present, absent } of ties(ranked).reverse()) {
    pairs += present * (below + absent / 2);
    below += absent;
  }
  const all = ranked.filter(({ present }) => present).length * below;
  return all === 0 ? 0.5 : pairs / all;
}

/**
 * The average precision: the mean over everything present of the share of present ones among all scores that
 * are not lower. Equal scores come together, so that their order does not matter. 1 where all are present, 0
 * where none is. Throws for a score of NaN.
 */
export function averagePrecision(ranked: readonly Ranked[]): number {
  let [found, taken, sum] = [0, 0, 0];
  for (const { present, absent } of ties(ranked)) {
    found += present;
    taken += present + absent;
    sum += (present * found) / taken;
  }
  return found === 0 ? 0 : sum / found;
}

/** The numbers of present and absent ones of each score, from the highest down. */
function ties(ranked: readonly Ranked[]): { present: number; absent: number }[] {
  const counts = new Map<number, { present: number; absent: number }>();
  for (const { score, present } of ranked) {
    if (Number.isNaN(score)) throw new Error("ranking: expected scores, got NaN");
    const count = counts.get(score) ?? { present: 0, absent: 0 };
    count[present ? "present" : "absent"]++;
    counts.set(score, count);
  }
  return [...counts].sort(([a], [b]) => b - a).map(([, count]) => count);
}
