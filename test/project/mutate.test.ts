// The wrong versions that npm run mutate makes: what is changed, and what is left alone.

import { test } from "uvu";
import * as assert from "uvu/assert";
import { instrument, mutateScript } from "../mutate/script.ts";
import { functionsOf, mutateShader } from "../mutate/wgsl.ts";

/** The changes to a function's body of these statements. */
const inShader = (body: string) => mutateShader("x.wgsl", `fn f() {\n${body}\n}`).map(({ change }) => change);
const inScript = (code: string) => mutateScript("x.ts", code).map(({ change }) => change);

test("of a sum each term is dropped, and its sign flipped", () => {
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

test("operands reach as far as brackets and weaker operators allow", () => {
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

test("declarations, types, comments and what makes a loop advance stay", () => {
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

test("a mutation knows its function and its line, and a function where its body begins", () => {
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

test("of a module, expressions that run are changed; types and messages are not", () => {
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

test("one program holds all versions of a module, and behaves as the one that is asked for", () => {
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

test.run();
