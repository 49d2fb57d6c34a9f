// The intensities of version 2 come near those of real scans, as the bench measures them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { likenessOf, likenessTable, REAL } from "../../bench/likeness.ts";
import { makePhantom } from "../../cli/files/phantomFolder.ts";

const folder = mkdtempSync(join(tmpdir(), "likeness-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("means, deviations and overlaps of 24 phantoms are near the real ones", async () => {
  const out = join(folder, "set");
  await makePhantom({ out, cases: 24, size: 40, seed: 11, version: 2 });
  const here = await likenessOf([out]);
  assert.is(here.cases, 24);
  for (const [name, { mean, deviation }] of Object.entries(REAL.tissues)) {
    const ours = here.tissues[name]!;
    for (let m = 0; m < 4; m++) {
      const [apart, wide] = [ours.mean[m]! - mean[m]!, ours.deviation[m]! / deviation[m]!];
      assert.ok(Math.abs(apart) < 0.5, `${name}, contrast ${m}: mean ${ours.mean[m]} for ${mean[m]}`);
      assert.ok(wide > 0.6 && wide < 1.6, `${name}, contrast ${m}: deviation ${ours.deviation[m]}`);
    }
  }
  for (const [name, areas] of Object.entries(REAL.pairs)) {
    for (const [m, area] of areas.entries()) {
      const ours = here.pairs[name]![m]!;
      assert.ok(Math.abs(ours - area) < 0.15, `${name}, contrast ${m}: area ${ours} for ${area}`);
    }
  }
  const lines = likenessTable(here).split("\n");
  assert.is(lines[0], "real (BraTS 2021, 21 cases at 2 mm) / here (24 cases)");
  assert.is(lines.length, 2 + 2 + 4 + 6);
  assert.match(lines[4]!, /^\| healthy \| -0\.02 ± 1\.03 \/ /);
});

test.run();
