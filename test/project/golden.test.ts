// Every operation and the whole network against PyTorch's golden values: those of the project, and more of them
// where ../shared/golden is there. `npm run golden` prints the errors.

import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FIXTURES, openGolden, SHARED } from "../golden/folder.ts";
import { holds, measureNetwork } from "../golden/network.ts";
import { type Measure, measureOperation } from "../golden/operations.ts";

for (const folder of [FIXTURES, SHARED]) {
  const which = folder === FIXTURES ? "" : ", more of them";
  if (!existsSync(folder)) {
    console.log(`SKIPPED: operations and networks agree with PyTorch${which}: ../shared/golden is missing`);
    continue;
  }
  const { ops, networks } = openGolden(folder);
  for (const op of ops) {
    test(`${op.name} agrees with PyTorch${which}`, async () => {
      assert.equal((await measureOperation(op)).filter(tooLarge), []);
    });
  }
  for (const network of networks) {
    test(`a V-Net with ${network.norm} norm agrees with PyTorch for three steps${which}`, async () => {
      const made = await measureNetwork(network);
      assert.equal(made.measures.filter(tooLarge), []);
      assert.ok(holds(made), JSON.stringify(made.fragile.filter(tooLarge)));
    });
  }
}

test("a golden value, gradient or loss that is a little off is found", async () => {
  const [golden] = openGolden(FIXTURES).ops;
  const { out, gin } = golden!;
  out.data[0]! += 1e-4 * Math.sqrt(out.data.length);
  gin["weight"]!.data[0]! += 1e-4 * Math.sqrt(gin["weight"]!.data.length);
  const found = (await measureOperation(golden!)).filter(tooLarge);
  assert.equal(
    found.map(({ what }) => what),
    ["value", "gradient of weight"],
  );
});

test("a network's distance from PyTorch is excused only where rounding switched something", () => {
  const fragile = [{ what: "gradient", error: 1e-3, allowed: 3e-4 }];
  const own = { what: "gradient at our own values, step 1", error: 1e-6, allowed: 3e-5 };
  const made = (error: number, switched: number) =>
    holds({
      ...{ measures: [{ ...own, error }], fragile, later: [] },
      causes: { switched, vanishing: 0, units: 1000 },
    });
  assert.ok(made(1e-6, 1));
  assert.not(made(1e-6, 0), "no cause found");
  assert.not(made(1e-3, 1), "our own gradient is wrong");
  assert.not(made(NaN, 1), "not a number");
});

function tooLarge({ error, allowed }: Measure): boolean {
  return !(error <= allowed);
}

test.run();
