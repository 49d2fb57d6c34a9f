import { test } from "uvu";
import { cases } from "../support/cases.ts";
import { check } from "../support/gradcheck.ts";

for (const row of cases) test(`${row.op}, ${row.name}: value and gradients`, () => check(row));

test.run();
