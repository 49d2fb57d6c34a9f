// A folder of golden values is refused with the name of the file that is missing or wrong.

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FIXTURES, METHOD_FIXTURES, openGolden } from "../golden/folder.ts";

test("a folder of methods needs no network; one that is missing or has no tensors is refused", () => {
  assert.equal(openGolden(METHOD_FIXTURES).networks, []);
  assert.throws(() => openGolden(join(FIXTURES, "..", "none")), /none\/cases\.json is missing/);
  const folder = mkdtempSync(join(tmpdir(), "protokd-golden-"));
  writeFileSync(join(folder, "cases.json"), "{}");
  assert.throws(() => openGolden(folder), /has neither ops\.safetensors nor methods\.safetensors/);
  copyFileSync(join(METHOD_FIXTURES, "methods.safetensors"), join(folder, "methods.safetensors"));
  assert.throws(() => openGolden(folder), /kd_voxel_t2\.in\.zs belongs to no case of cases\.json/);
  copyFileSync(join(FIXTURES, "cases.json"), join(folder, "cases.json"));
  copyFileSync(join(FIXTURES, "ops.safetensors"), join(folder, "methods.safetensors"));
  assert.throws(() => openGolden(folder), /vnet\.safetensors is missing, though cases\.json has a network/);
  rmSync(folder, { recursive: true });
});

test.run();
