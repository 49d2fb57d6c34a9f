// Compares every operation, method's term and whole network with PyTorch's golden values: those of the
// project, and more of them if ../shared/golden is there. `npm run golden` prints the errors.

import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FIXTURES, METHOD_FIXTURES, openGolden, SHARED, SHARED_METHODS } from "../golden/folder.ts";
import { holds, measureNetwork } from "../golden/network.ts";
import { isCovered, type Measure, measureOperation } from "../golden/operations.ts";

const FOLDERS: readonly { folder: string; which: string; partly?: boolean }[] = [
  { folder: FIXTURES, which: "" },
  { folder: METHOD_FIXTURES, which: "" },
  { folder: SHARED, which: ", more of them" },
  { folder: SHARED_METHODS, which: ", more of them", partly: true },
];

for (const { folder, which, partly = false } of FOLDERS) {
  if (!existsSync(folder)) {
    console.log(`SKIPPED: operations and networks agree with PyTorch${which}: ${folder} is missing`);
    continue;
  }
  const { ops, networks } = openGolden(folder);
  for (const op of partly ? ops.filter(isCovered) : ops) {
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

test("a case is not covered where we have no such op", async () => {
  const [golden] = openGolden(METHOD_FIXTURES).ops;
  const other = (attributes: Record<string, unknown>) => {
    return { ...golden!, attributes: { ...golden!.attributes, ...attributes } };
  };
  assert.ok(isCovered(golden!));
  assert.not(isCovered(other({ op: "some_other_loss" })));
  const failure = await measureOperation(other({ op: "some_other_loss" })).catch(String);
  assert.match(String(failure), /there is no operation 'some_other_loss'/);
});

test("a wrong weight or temperature of a method is found", async () => {
  const { ops } = openGolden(METHOD_FIXTURES);
  for (const [name, attributes] of [
    ["kd_voxel_t2", { t2: false }],
    ["kdnet_total", { lambda: 0.751 }],
    ["kdnet_total", { alpha: 10.1 }],
    ["kdnet_kd", { student_temperature: 5.01 }],
    ["kdnet_kd", { temperature: 5.01 }],
    ["kdnet_gt", { smooth: 1 }],
    ["amtml_total", { alpha: 0.701 }],
    ["amtml_total", { temperature: 5.01 }],
    ["adain_head", { eps: 1e-3 }],
    ["pmkl_kd_clipped", { clip: 0.006 }],
    ["pmkl_embedding", { margin: 2 }],
  ] as const) {
    const golden = ops.find((op) => op.name === name)!;
    const changed = { ...golden, attributes: { ...golden.attributes, ...attributes } };
    assert.ok((await measureOperation(changed)).some(tooLarge), `${name} ${JSON.stringify(attributes)}`);
  }
});

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
      measures: [{ ...own, error }],
      fragile,
      later: [],
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
