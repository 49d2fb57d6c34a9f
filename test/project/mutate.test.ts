// The wrong versions that npm run mutate makes: the changes, and the code that stays as it is.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { instrument, mutateScript } from "../mutate/script.ts";
import { root } from "../mutate/shadow.ts";
import { functionsOf, mutateShader } from "../mutate/wgsl.ts";

/** The changes to a function's body of these statements. */
const inShader = (body: string) => mutateShader("x.wgsl", `fn f() {\n${body}\n}`).map(({ change }) => change);
const inScript = (code: string) => mutateScript("x.ts", code).map(({ change }) => change);

test("each term of a sum is dropped, and its sign flipped", () => {
  assert.equal(inShader("let a = b + c * d - e;"), [
    "b + c * d → b - c * d",
    "b + c * d → b",
    "b + c * d → c * d",
    "b + c * d - e → b + c * d + e",
    "b + c * d - e → b + c * d",
    "b + c * d - e → (e) - (b + c * d)",
    "c * d → c / d",
  ]);
});

test("operands end at brackets and weaker operators", () => {
  assert.ok(inShader("y[i] = f(a, (b + c) / d[e] % g);").includes("(b + c) / d[e] → (d[e]) / ((b + c))"));
  assert.ok(inShader("if (a < b + 1u && c) { return; }").includes("a < b + 1u → a <= b + 1u"));
  assert.ok(inShader("return -a * b;").includes("-a * b → -(-a * b)"));
});

test("bounds, conditions, indices, constants, barriers, min and max are changed", () => {
  const changes = inShader("if (i >= n) { return; }\nx[i] += min(a, 2.0);\nworkgroupBarrier();\nb = x[3];");
  for (const change of [
    ...["i >= n → i > n", "i >= n → true", "i >= n → false", "x[i] → x[i + 1]", "+= → -=", "min → max"],
    ...["2.0 → 3.0", "workgroupBarrier() → nothing", "3 → 4"],
  ])
    assert.ok(changes.includes(change), `${change} is not among ${changes.join(", ")}`);
});

test("declarations, types, comments and the updates of loops stay", () => {
  const code = `// a + b
override WG: u32 = 64;
@group(0) @binding(0) var<storage, read> x: array<f32>;
fn f(a: vec3<f32>) -> f32 { /* a - b */ var s: array<vec4f, 8 + 1>; return x[0]; }`;
  assert.equal(
    mutateShader("x.wgsl", code).map(({ change }) => change),
    ["x[0] → -(x[0])", "0 → 1"],
  );
  assert.equal(inShader("for (var i = a; i < n; i += 2u) { }"), ["i < n → false", "i < n → i <= n"]);
  assert.equal(inShader("let v = vec3<u32>(a);"), []);
});

test("a mutation has its function and its line, and a function the start of its body", () => {
  const code = "fn f() {\n  let a = 1;\n}\n@compute fn g() { b = 2; }";
  assert.equal(
    mutateShader("x.wgsl", code).map(({ line, source, where }) => ({ line, source, where })),
    [
      { line: 2, source: "let a = 1;", where: "f" },
      { line: 4, source: "@compute fn g() { b = 2; }", where: "g" },
    ],
  );
  const [first, second] = mutateShader("x.wgsl", "fn f() { a[0] = 1; a[0] = 1; }").filter(
    ({ text }) => text === "2",
  );
  assert.equal([first!.change, second!.change], ["1 → 2", "1 → 2 (2)"]);
  assert.is(code[functionsOf(code).get("g")! - 1], "{");
});

test("the expressions of a module are changed, its types and messages are not", () => {
  assert.equal(inScript("type A = 1 | 2;\nfunction f(a = 3): A { throw new Error(`${a + 1}`); }"), ["3 → 4"]);
  assert.equal(inScript("f(a);"), ["f(a) → undefined"]);
  assert.equal(inScript("const x = Math.ceil(a / b);"), [
    "Math.ceil → Math.floor",
    "a / b → a * b",
    "a / b → (b) / (a)",
  ]);
  const [loaded, called] = mutateScript("x.ts", "const a = 1;\nconst f = () => 2;");
  assert.equal([loaded!.where, called!.where], ["static", ""]);
});

test("one program holds all versions of a module, and behaves as the active one", () => {
  const code = "export const f = (a: number, b: number): number => (a > b ? a - b : 10 * (a + b));";
  const mutants = mutateScript("x.ts", code).map((mutation, id) => ({ ...mutation, id }));
  const body = instrument(code, mutants).replace("export const f =", "return");
  const version = (change: string | null) => {
    const mutated = (id: number) => mutants[id]!.change === change;
    const f = new Function("mutated", body)(mutated) as (a: number, b: number) => number;
    return [f(3, 1), f(1, 3)];
  };
  assert.equal(version(null), [2, 40]);
  assert.equal(version("a > b → false"), [40, 40]);
  assert.equal(version("a - b → a + b"), [4, 40]);
  assert.equal(version("a + b → b"), [2, 30]);
  assert.equal(version("10 → 11"), [2, 44]);
});

test("every entry of survivors.json is a mutant that npm run mutate makes", () => {
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  const survivors = JSON.parse(read("test/mutate/survivors.json")) as {
    mutants: Record<string, [where: string, source: string, change: string][]>;
  }[];
  const files = [...new Set(survivors.flatMap(({ mutants }) => Object.keys(mutants)))];
  const made = new Map(
    files.map((file) => {
      const mutate = file.endsWith(".wgsl") ? mutateShader : mutateScript;
      const keys = mutate(file, read(file)).map(({ where, source, change }) => `${[where, source, change]}`);
      return [file, new Set(keys)];
    }),
  );
  const unknown = survivors.flatMap(({ mutants }) =>
    Object.entries(mutants).flatMap(([file, list]) =>
      list
        .filter((entry) => !made.get(file)!.has(`${entry}`))
        .map((entry) => `${file}: ${entry.join(" | ")}`),
    ),
  );
  assert.equal(unknown, []);
});

test.run();
