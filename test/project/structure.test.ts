// The project's shape, read from its files: which file imports which, and that things written twice agree.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { generate } from "../../shaders/generate.ts";
import { cases } from "../support/cases.ts";
import { layers, PORTABLE, rooms } from "./rooms.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Every file of the project with this ending, by its path from the root. */
function files(ending: string): string[] {
  const folders = ["engine", "shaders", "model", "data", "trainer", "cli", "web", "bench", "test", "docs"];
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((p) => join(folder, p)),
    )
    .filter((path) => path.endsWith(ending) && !path.includes("node_modules"))
    .sort();
}

interface Import {
  from: string;
  /** A path from the root for a file of ours; else the package's name. */
  to: string;
  kind: "value" | "type" | "dynamic";
}

/** The imports in a module's text. */
export function importsOf(from: string, text: string): Import[] {
  const target = (name: string) =>
    name.startsWith(".") ? relative(root, resolve(root, dirname(from), name)) : name;
  const fixed = /^(?:import|export)\s(type\s)?[^"';]*?from\s+"([^"]+)"|^import\s+"([^"]+)"/gm;
  const dynamic = /\bimport\(\s*"([^"]+)"\s*\)/g;
  return [
    ...Array.from(text.matchAll(fixed), ([, type, name, bare]): Import => {
      return { from, to: target(name ?? bare!), kind: type ? "type" : "value" };
    }),
    ...Array.from(text.matchAll(dynamic), ([, name]): Import => ({
      from,
      to: target(name!),
      kind: "dynamic",
    })),
  ];
}

const modules = files(".ts").filter((path) => !path.endsWith(".d.ts"));
const imports = modules.flatMap((path) => importsOf(path, read(path)));

const layerOf = (path: string) => path.split("/")[0]!;
const roomOf = (path: string) => rooms.findIndex((room) => path === room || path.startsWith(`${room}/`));
const divided = new Set(rooms.map(layerOf));

const builtin = (name: string) => name.startsWith("node:") || name === "webgpu";

/** Why an import may not be, or null. */
function objection({ from, to, kind }: Import): string | null {
  const { ours, node } = layers[layerOf(from)]!;
  const own = existsSync(join(root, to)) && /\.(ts|js)$/.test(to);
  if (own && layerOf(from) === layerOf(to) && roomOf(from) < roomOf(to))
    return `${from} imports ${to}: a room imports from rooms below it`;
  if (own && !ours.some((allowed) => to === allowed || to.startsWith(`${allowed}/`)))
    return `${from} imports ${to}`;
  if (to === "webgpu" && from !== "cli/device/gpu.ts")
    return `${from} imports webgpu: only cli/device/gpu.ts may`;
  const guarded = from === "engine/gpu/shader.ts" && kind === "dynamic";
  const portable = PORTABLE.some((path) => from === path || from.startsWith(`${path}/`));
  if (portable && kind !== "type" && own && to.startsWith("cli/"))
    return `${from} imports ${to}, but runs in pages`;
  return builtin(to) && (!node || portable) && !guarded
    ? `${from} imports ${to}, but must run in a browser`
    : null;
}

test("imports point from cli to data and model and from there to the engine; portable code imports no Node", () => {
  assert.equal(imports.map(objection).filter(Boolean), []);
  assert.ok(imports.length > 50);
});

test("an import in the wrong direction is noticed, however it is written", () => {
  const text = `import { a } from "../../cli/device/gpu.ts";\nimport {\n  b,\n} from "../../data/errors.ts";
import type { C } from "node:fs";\nexport { d } from "./params.ts";\nconst e = await import("node:os");\n`;
  const found = importsOf("model/networks/x.ts", text);
  assert.equal(
    found.map(({ to, kind }) => `${kind} ${to}`),
    [
      "value cli/device/gpu.ts",
      "value data/errors.ts",
      "type node:fs",
      "value model/networks/params.ts",
      "dynamic node:os",
    ],
  );
  assert.is(found.map(objection).filter(Boolean).length, 4);
});

test("every file of a layer that is divided into rooms lies in one of them", () => {
  const outside = modules.filter((path) => divided.has(layerOf(path)) && roomOf(path) < 0);
  assert.equal(outside, []);
  assert.equal(
    rooms.filter((room) => !existsSync(join(root, room))),
    [],
    "rooms that do not exist",
  );
});

test("an import from a room above is noticed, of a type too", () => {
  const text = 'import type { Tensor } from "../autograd/tensor.ts";\nimport { Words } from "./words.ts";\n';
  const found = importsOf("engine/gpu/x.ts", text).map(objection);
  assert.equal(found, [
    "engine/gpu/x.ts imports engine/autograd/tensor.ts: a room imports from rooms below it",
    null,
  ]);
});

test("no module imports itself over others, not even a type", () => {
  const state = new Map<string, "open" | "done">();
  const cycles: string[] = [];
  const visit = (path: string, trail: string[]): void => {
    if (state.get(path) === "open") cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (state.has(path)) return;
    state.set(path, "open");
    for (const { to } of imports.filter((i) => i.from === path)) visit(to, [...trail, path]);
    state.set(path, "done");
  };
  modules.forEach((path) => visit(path, []));
  assert.equal(cycles, []);
});

test("a page itself loads no engine: reading the shaders would keep it from answering", () => {
  const reached = (path: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(path)) return seen;
    seen.add(path);
    for (const { to } of imports.filter((i) => i.from === path && i.kind !== "type")) reached(to, seen);
    return seen;
  };
  for (const page of ["web/main.ts", "web/bench/benchPage.ts"])
    assert.not(reached(page).has("engine/gpu/shader.ts"), page);
  assert.ok(reached("web/worker/worker.ts").has("engine/gpu/shader.ts"));
});

test("shaders/types.ts is what shaders/generate.ts makes of the .wgsl files", async () => {
  assert.ok((await generate()) === read("shaders/types.ts"), "npm run shaders brings it up to date");
});

test("every shader has its op, or an engine module that loads it by name", () => {
  const engine = modules
    .filter((path) => path.startsWith("engine/"))
    .map(read)
    .join("\n");
  const orphans = files(".wgsl").filter((path) => {
    if (path.startsWith("bench/lab/")) return false; // which are run by bench.test.ts
    const name = path.slice("shaders/".length, -".wgsl".length);
    return !existsSync(join(root, `engine/ops/${name}.ts`)) && !engine.includes(`shader("${name}")`);
  });
  assert.equal(orphans, []);
});

/** Files of several similar ops, where each op needs rows. */
const TABLES = ["engine/ops/activations.ts"];

test("every op has a row in test/support/cases.ts or, where it has no gradient, a test that calls it", () => {
  const ops = files(".ts").filter((path) => dirname(path) === "engine/ops");
  const rows = new Set(cases.map(({ op }) => op));
  const tests = files(".test.ts").map(read).join("\n");
  const functions = new Set<string>();
  const missing = ops.filter((path) => {
    const text = read(path);
    const exported = Array.from(text.matchAll(/^export function (\w+)/gm), ([, name]) => name!);
    for (const name of exported) functions.add(name);
    if (TABLES.includes(path)) return exported.length < 2 || exported.some((name) => !rows.has(name));
    const name = path.slice("engine/ops/".length, -".ts".length);
    const rowless = name === "cast" || !/\brecord\(/.test(text); // test/engine/half.test.ts has its gradient
    const called = rowless && new RegExp(`\\b${name}\\(`).test(tests);
    return !functions.has(name) || !(rows.has(name) || called);
  });
  assert.equal(missing, [], "without a function of their name, or a row");
  assert.equal(
    [...rows].filter((name) => !functions.has(name)),
    [],
    "rows without an op",
  );
});

test("no file has more than 300 lines", () => {
  const written = [...modules, ...files(".wgsl")].filter((path) => path !== "shaders/types.ts");
  assert.equal(
    written
      .map((path) => `${path}: ${read(path).split("\n").length - 1}`)
      .filter((p) => +p.split(": ")[1]! > 300),
    [],
  );
});

test("no function of the program has more than 60 lines", () => {
  const long: string[] = [];
  for (const path of modules.filter((file) => !/^(test|bench|docs|shaders)\//.test(file))) {
    const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);
    const lineOf = (position: number) => source.getLineAndCharacterOfPosition(position).line;
    const visit = (node: ts.Node): void => {
      const lines = lineOf(node.end) - lineOf(node.getStart(source)) + 1;
      if (ts.isFunctionLike(node) && lines > 60)
        long.push(`${path}: ${node.name?.getText(source)} has ${lines}`);
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  assert.equal(long, []);
});

test("every test file runs by itself and is run by npm test", () => {
  const idle = files(".test.ts").filter(
    (path) => !path.startsWith("test/") || !/^test\.run\(\);$|^\w+\.run\(\);$/m.test(read(path)),
  );
  assert.equal(idle, []);
});

test("the package is protokd, under the MIT licence", () => {
  const { name, license } = JSON.parse(read("package.json")) as Record<string, string>;
  assert.equal([name, license], ["protokd", "MIT"]);
  assert.match(read("LICENSE"), /^MIT License/);
});

test("the documentation shows the conversion of a .pth that is tested", () => {
  assert.ok(read("docs/how-to/interchange.md").includes(read("test/support/published/convert.py")));
});

test("every command that README.md, CONTRIBUTING.md and docs/ name exists", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const known = new Set([...Object.keys(scripts), "ci", "install"]);
  const main = ["README.md", "CONTRIBUTING.md"];
  for (const page of [...main, ...files(".md").filter((path) => path.startsWith("docs/"))]) {
    const text = read(page);
    const npm = Array.from(text.matchAll(/\bnpm (?:run )?([a-z][a-z:]*)/g), ([, name]) => name!);
    assert.equal(
      npm.filter((name) => !known.has(name)),
      [],
      `${page}: npm`,
    );
    const node = Array.from(
      text.matchAll(/\bnode ((?:cli|test|bench|shaders)\/[\w.]+)\.js/g),
      ([, path]) => path!,
    );
    assert.equal(
      node.filter((path) => !existsSync(join(root, `${path}.ts`))),
      [],
      `${page}: node`,
    );
    if (main.includes(page)) assert.ok(npm.length + node.length > 0, `${page} names no command`);
  }
});

test.run();
