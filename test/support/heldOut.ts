// The split of a phantom of four cases: three to train and validate on, one to test.

import { writeFileSync } from "node:fs";

/** Writes a split of three to train and validate on, and the case of this number (from 1) to test. */
export function writeSplitOfFour(path: string, tested: number): void {
  const ids = [1, 2, 3, 4].map((n) => `PHANTOM_00${n}`);
  const [held] = ids.splice(tested - 1, 1);
  const [first, second, third] = ids;
  writeFileSync(path, JSON.stringify({ train: [first, second], val: [third], test: [held] }));
}
