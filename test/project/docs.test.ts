// The documentation is correct: the page of commands is the commands' help, every command line has existing
// options with valid values, the README's example prints what the README shows, and every link leads
// somewhere.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Method, METHODS, PRETRAININGS } from "../../model/methods/index.ts";
import { helpOfCommands, methodsText, pageOf } from "../../docs/generate.ts";

const test = suite("docs");

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const pages = [
  ...["README.md", "CONTRIBUTING.md"],
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => join("docs", path)),
].sort();

const commands = await helpOfCommands();

/** A command line in a page. */
interface Line {
  page: string;
  name: string;
  words: string[];
}

/**
 * Returns the command lines in a page: `node cli/NAME.js ...` to the end of the line, a comment or a
 * backtick.
 */
function linesOf(page: string, text: string): Line[] {
  const joined = text.replace(/\\\n\s*/g, " ");
  return Array.from(joined.matchAll(/node cli\/(\w+)\.js([^\n`]*)/g), ([, name, rest]) => {
    const line = rest!.split(/\s#\s|\s#$|\s[|>;]|&&|"\]/)[0]!;
    return { page, name: name!, words: line.trim().split(/\s+/).filter(Boolean) };
  });
}

/** Returns the mistakes in a command line, by the command's help. */
function faultsOf({ page, name, words }: Line): string[] {
  const help = commands.get(name);
  const where = `${page}: node cli/${name}.js ${words.join(" ")}`;
  if (help === undefined) return [`${where}: no such command`];
  const faults: string[] = [];
  words.forEach((word, i) => {
    if (!word.startsWith("-")) return;
    // An entry is a flag at the start of a line, perhaps with an argument, and all text up to the next flag.
    const entry = new RegExp(
      `^  (?:-\\w, )?${word}( <[^>]+>)?(?=\\s|$)([\\s\\S]*?)(?=^  -|^\\S|(?![\\s\\S]))`,
      "m",
    );
    const found = entry.exec(help);
    if (!found) {
      faults.push(`${where}: ${word} is no option`);
      return;
    }
    const value = words[i + 1]?.startsWith("-") ? undefined : words[i + 1];
    if (found[1] ? value === undefined : value !== undefined)
      faults.push(`${where}: ${word} takes ${found[1] ? "a value" : "none"}`);
    const choices = /\(choices: ("[^)]*?")[,)]? ?(?:default|\)|$)/.exec(found[2]!.replace(/\s+/g, " "))?.[1];
    if (!choices || !value || /^[<$]|^[A-Z]+$|\|/.test(value)) return;
    if (!choices.includes(`"${value}"`)) faults.push(`${where}: ${word} takes ${choices}, not ${value}`);
  });
  return faults;
}

test("docs/reference/commands.md is the commands' --help", () => {
  assert.ok(pageOf(commands) === read("docs/reference/commands.md"), "npm run docs brings it up to date");
});

test("docs/reference/methods.md is what the methods say, each with its formula and what is verified", () => {
  for (const { name, formula, verified } of Object.values({
    ...METHODS,
    ...PRETRAININGS,
  }) as readonly Method[]) {
    assert.match(formula ?? "", /L.* = /, name);
    assert.match(verified ?? "", /\w.*\.$/s, name);
  }
  const described = Object.values({ ...METHODS, ...PRETRAININGS }) as Parameters<typeof methodsText>[0];
  assert.ok(
    methodsText(described) === read("docs/reference/methods.md"),
    "npm run docs brings it up to date",
  );
});

test("every command line has existing options with valid values", () => {
  const lines = pages.flatMap((page) => linesOf(page, read(page)));
  assert.ok(lines.length > 40, `${lines.length} lines`);
  assert.equal(lines.flatMap(faultsOf), []);
});

test("a wrong command line is noticed", () => {
  const faults = (text: string) => linesOf("page", text).flatMap(faultsOf);
  assert.equal(faults("`node cli/check.js --data DIR --labels msd --json` and more"), []);
  assert.equal(faults("node cli/check.js --data DIR \\\n  --modality t1ce   # a comment --x"), []);
  assert.match(faults("node cli/chekc.js")[0]!, /no such command$/);
  assert.match(faults("node cli/check.js --date DIR")[0]!, /--date is no option$/);
  assert.match(faults("node cli/check.js --dat DIR")[0]!, /--dat is no option$/);
  assert.match(faults("node cli/check.js --data")[0]!, /--data takes a value$/);
  assert.match(faults("node cli/check.js --json yes")[0]!, /--json takes none$/);
  assert.match(faults("node cli/check.js --labels brats2022")[0]!, /--labels takes .* not brats2022$/);
  assert.match(faults("node cli/predict.js --modality all2")[0]!, /--modality takes .* not all2$/);
});

test("the README's example prints what it shows: a gradient and its finite difference", () => {
  const [, code, shown] = /```js\n([^]*?)```\n\n```\n([^]*?)```/.exec(read("README.md"))!;
  const folder = mkdtempSync(join(tmpdir(), "example-"));
  try {
    const file = join(folder, "example.mjs");
    writeFileSync(file, code!.replaceAll('from "./', `from "${new URL("../..", import.meta.url).href}`));
    const { status, stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8" });
    assert.is(status, 0, stderr);
    assert.is(stdout, shown);
    const [gradient, difference] = Array.from(stdout.matchAll(/-?\d+\.\d+/g), ([number]) => Number(number));
    assert.ok(gradient !== 0 && gradient === difference, stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("every relative link leads to a file, and every anchor to a heading", () => {
  const anchorsOf = (path: string) =>
    Array.from(read(path).matchAll(/^#+ (.+)$/gm), ([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    );
  const broken: string[] = [];
  let links = 0;
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|mailto:)/.test(target!)) continue;
      links++;
      const [path, anchor] = target!.split("#") as [string, string?];
      const file = path ? join(dirname(page), path) : page;
      if (!existsSync(resolve(root, file))) broken.push(`${page}: ${target}`);
      else if (anchor && file.endsWith(".md") && !anchorsOf(file).includes(anchor))
        broken.push(`${page}: ${target} (no such heading)`);
    }
  }
  assert.equal(broken, []);
  assert.ok(links > 30, `${links} links`);
});

test("every page of docs/ is in its index", () => {
  const index = read("docs/README.md");
  const missing = pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
  assert.equal(
    missing.filter((page) => !index.includes(`](${page.slice("docs/".length)})`)),
    [],
  );
});

test.run();
