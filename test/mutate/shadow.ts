// A copy of the built project in a temporary folder, where mutants are tried: changes in the project
// meanwhile do not reach it. Its modules hold all their mutants (script.ts), and its tests are listed instead
// of run (collect.ts).

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { instrument } from "./script.ts";
import type { Mutant } from "./worker.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Makes the copy; returns its folder, and the one to remove in the end. */
export function makeShadow(mutants: readonly Mutant[]): { folder: string; parent: string } {
  const parent = mkdtempSync(join(tmpdir(), "protokd-mutate-"));
  const folder = join(parent, "project");
  for (const name of [
    "engine",
    "shaders",
    "model",
    "data",
    "trainer",
    "cli",
    "bench",
    "test",
    "package.json",
  ]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const shared = join(dirname(join(root, ".")), "shared"); // golden values lie beside the project
  if (existsSync(shared)) symlinkSync(shared, join(parent, "shared"));

  const modules = new Set(mutants.map(({ file }) => file).filter((file) => file.endsWith(".ts")));
  for (const file of modules) {
    const code = readFileSync(join(folder, file), "utf8");
    const own = mutants.filter((mutant) => mutant.file === file);
    writeFileSync(join(folder, file.replace(/\.ts$/, ".js")), instrument(code, own));
  }
  for (const file of testFiles()) {
    const path = join(folder, "test", file);
    writeFileSync(path, readFileSync(path, "utf8").replace('from "uvu"', 'from "../mutate/collect.js"'));
  }
  return { folder, parent };
}

/**
 * The built files of the engine's own tests: those that import of the model only its checkpoints and losses,
 * and of the commands only the device. Tests of whole networks would notice most mutants too, but late. Tests
 * without bounds checks are skipped: a mutant that reads beyond its buffers may crash the driver.
 */
export function testFiles(): string[] {
  const allowed =
    /^\.\.\/(\.\.\/(engine\/.*|cli\/device\/gpu\.ts|model\/(files\/safetensors|losses\/losses)\.ts)|support\/.*|golden\/.*)$|^\.\/|^uvu|^node:fs$/;
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .filter((name) => {
      const text = readFileSync(join(root, "test", name), "utf8");
      const imports = Array.from(
        text.matchAll(/^(?:import|export)[^"';]*?from "([^"]+)"/gm),
        ([, path]) => path!,
      );
      const gpu = imports.some((path) => /gradcheck|golden|gpu/.test(path)) && !/\btoggles\b/.test(text);
      return gpu && imports.every((path) => allowed.test(path));
    })
    .map((name) => name.replace(/\.ts$/, ".js"))
    .sort();
}
