// Every operation and the whole network against PyTorch's golden values: those of the project, and more of them
// where ../shared/golden is there. `npm run golden` prints the errors.

import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FIXTURES, openGolden, SHARED } from "./golden/folder.ts";
import { holds, measureNetwork } from "./golden/network.ts";
import { type Measure, measureOperation } from "./golden/operations.ts";

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

function tooLarge({ error, allowed }: Measure): boolean {
  return !(error <= allowed);
}

test.run();
