import { test } from "uvu";
import { cases } from "./cases.ts";
import { check } from "./gradcheck.ts";

for (const row of cases) test(`${row.op}, ${row.name}: value and gradients`, () => check(row));

test.run();
