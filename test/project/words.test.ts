// Plain words and plain code in the whole project: no phrases that make a reader stop, no sentence that
// begins with a relative clause, no spread of an object literal, no second import from one module, no comment
// over 110 columns.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Piece, proseOf } from "../support/prose.ts";

const test = suite("words");
const root = fileURLToPath(new URL("../..", import.meta.url));
const FOLDERS = ["engine", "shaders", "model", "data", "trainer", "cli", "web", "bench", "test", "docs"];
const WIDTH = 110; // columns of a comment
const MADE = ["shaders/types.ts", "test/project/words.test.ts"]; // a generated file, and the examples below

/** Beginnings of paths whose words are still to be revised. */
const LATER: readonly string[] = [];

/** Phrases that nobody says aloud, each with an example. */
const PHRASES: readonly (readonly [phrase: RegExp, example: string])[] = [
  [/\bno numbers?\b/i, "its gradient is no number"],
  [/\b(?:is|are) none\b/i, "5 numbers that are none"],
  [/\b(?:is|are) told\b/i, "the page is told of each step"],
  [/\blets? go of\b/i, "a tensor is let go of"],
  [/\bgone on with\b/i, "a run that is gone on with"],
  [/\bgo(?:es|ing)? on with\b/i, "the loader goes on with the next"],
  [/\bgo(?:es|ing)? on from\b/i, "it can go on from there"],
  [/\bcan be said\b/i, "what can be said to the command"],
  [/\bis meant where\b/i, "what is meant where a flag is missing"],
  [/\bnothing is said\b/i, "the default, where nothing is said"],
  [/\bis asked for\b/i, "how it is asked for"],
  [/\basked for:/i, "as asked for: two"],
  [/\bof which\b/i, "f(), of which the backward pass finds nothing"],
  [/\bstands between\b/i, "what stands between gradients and a step"],
  [/\banswers for\b/i, "a buffer and who answers for it"],
  [/\bleft out\b/i, "step 7 left out"],
  [/\bsays? so\b/i, "without an adapter it says so"],
  [/\bis kept here\b/i, "a training is kept here"],
  [/\blearnt from\b/i, "the data it has learnt from"],
  [/\bis wanting\b/i, "which size is wanting"],
];

/** The beginnings of sentences that start with a clause, unless they are questions. */
const OPENING = /^(?:What|Of|Whether)\s/;

/** The faults of a file, as `path:line: fault`. */
function faultsOf(path: string, text: string): string[] {
  const { prose, comments, tree } = proseOf(path, text);
  return [
    ...prose.flatMap((piece) => faultsOfProse(piece.text).map((fault) => `${piece.line}: ${fault}`)),
    ...comments.flatMap((comment) => longLines(comment, text)),
    ...(tree ? faultsOfCode(tree) : []),
  ].map((fault) => `${path}:${fault}`);
}

/** Forbidden phrases and beginnings of sentences. */
function faultsOfProse(prose: string): string[] {
  const faults: string[] = [];
  for (const paragraph of prose.split(/\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)/)) {
    const text = paragraph.replace(/\s+/g, " ").trim();
    for (const [phrase] of PHRASES) {
      const found = phrase.exec(text);
      if (found) faults.push(`"${text.slice(Math.max(0, found.index - 30), found.index + 50)}"`);
    }
    for (const sentence of text.split(/(?<=[.!?])\s+|(?<=:)\s+(?=(?:What|Of|Whether)\s)/)) {
      if (OPENING.test(sentence) && !/\?["')\]*_]*$/.test(sentence))
        faults.push(`"${sentence.slice(0, 80)}"`);
    }
  }
  return faults;
}

function longLines({ line, text: comment }: Piece, text: string): string[] {
  const lines = text.split("\n").slice(line - 1, line - 1 + comment.split("\n").length);
  return lines.flatMap(({ length }, i) =>
    length > WIDTH ? [`${line + i}: a comment of ${length} columns: break it at ${WIDTH}`] : [],
  );
}

/** Spreads of object literals, and second imports from one module. */
function faultsOfCode(tree: ts.SourceFile): string[] {
  const faults: string[] = [];
  const modules = new Set<string>();
  const visit = (node: ts.Node): void => {
    const line = () => tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
    if (ts.isSpreadAssignment(node) && ts.isObjectLiteralExpression(node.expression))
      faults.push(`${line()}: the spread of an object literal: write its members`);
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier) && isNamed(node)) {
      const { text: name } = node.moduleSpecifier;
      if (modules.has(name)) faults.push(`${line()}: a second import from ${name}: join it with the first`);
      modules.add(name);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return faults;
}

/** True for an import of names, unlike `import * as x` and `import "x"`, which cannot be joined with another. */
function isNamed({ importClause }: ts.ImportDeclaration): boolean {
  const bindings = importClause?.namedBindings;
  return importClause !== undefined && (bindings === undefined || ts.isNamedImports(bindings));
}

/** Every file that people read, by its path from the root. */
function files(): string[] {
  const inside = FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) =>
      `${folder}/${path}`.replaceAll("\\", "/"),
    ),
  );
  const pages = readdirSync(root).filter((name) => /\.(md|ts)$/.test(name));
  return [...pages, ...inside].filter(
    (path) =>
      /\.(ts|wgsl|css|py|md|html)$/.test(path) &&
      !/(^|\/)(node_modules|dist)\//.test(path) &&
      !path.endsWith(".d.ts") &&
      !MADE.includes(path),
  );
}

test("the words of all files are plain, and their code has no tricks", () => {
  const all = files();
  const read = all.filter((path) => !LATER.some((later) => path.startsWith(later)));
  assert.ok(read.length > 50);
  assert.equal(
    read.flatMap((path) => faultsOf(path, readFileSync(join(root, path), "utf8"))),
    [],
  );
  const stale = LATER.filter((later) => !all.some((path) => path.startsWith(later)));
  assert.equal(stale, [], "in LATER, but no file has such a path");
});

/** A sentence as a file of each kind has it. */
const PLACES: Readonly<Record<string, (sentence: string) => string>> = {
  "comment.ts": (sentence) => `const a = 1; // ${sentence}\n`,
  "broken.ts": (sentence) => `// ${sentence.replaceAll(" ", "\n// ")}\nconst a = 1;\n`,
  "doc.ts": (sentence) => `/**\n * First.\n *\n * ${sentence}\n */\nexport const a = 1;\n`,
  "string.ts": (sentence) => `const a = ${JSON.stringify(sentence)};\n`,
  "template.ts": (sentence) => `const a = (b: number) => \`\${b}. ${sentence}\`;\n`,
  "shader.wgsl": (sentence) => `let a = 1; // ${sentence}\n`,
  "style.css": (sentence) => `/* ${sentence} */\n`,
  "script.py": (sentence) => `a = 1  # ${sentence}\n`,
  "text.md": (sentence) => `# Title\n\nFirst. ${sentence}\n`,
  "list.md": (sentence) => `- first\n- ${sentence}\n`,
  "table.md": (sentence) => `| a | ${sentence} |\n`,
  "page.html": (sentence) => `<p>${sentence}</p>`,
  "label.html": (sentence) => `<button aria-label="${sentence}"></button>`,
};

test("every forbidden phrase is found, wherever it stands", () => {
  for (const [phrase, example] of PHRASES) {
    assert.match(example, phrase);
    for (const [path, place] of Object.entries(PLACES))
      assert.is(faultsOf(path, place(example)).length > 0, true, `${path}: ${example}`);
  }
});

test("a sentence that begins with What, Of or Whether is found, unless it is a question", () => {
  for (const [path, place] of Object.entries(PLACES)) {
    for (const sentence of ["What the user sees.", "Of the cases, the first.", "Whether it is a link."])
      assert.is(faultsOf(path, place(sentence)).length, 1, `${path}: ${sentence}`);
    for (const sentence of [
      "What is a fold?",
      "The user sees what it does.",
      "Offers a file.",
      "Whatever it is.",
    ])
      assert.equal(faultsOf(path, place(sentence)), [], `${path}: ${sentence}`);
  }
});

test("code, names and regular expressions are not prose", () => {
  const text = `const no = 1;\nconst number = no; /left out/.test(x);\nimport x from "./isNone.ts";\n`;
  assert.equal(faultsOf("code.ts", text), []);
});

test("spreads of object literals, second imports and long comments are found", () => {
  const faults = (text: string) => faultsOf("code.ts", text).map((fault) => fault.replace(/: .*/, ""));
  assert.equal(faults(`const a = {\n  ...{ b, c },\n  ...(b && { c }),\n  ...d,\n};\n`), ["code.ts:2"]);
  const first = `import { a } from "./a.ts";\n`;
  assert.equal(faults(`${first}import type { B } from "./a.ts";\n`), ["code.ts:2"]);
  assert.equal(
    faults(`${first}import "./a.ts";\nimport * as all from "./a.ts";\nimport { b } from "./b.ts";\n`),
    [],
  );
  const long = "a".repeat(WIDTH);
  assert.equal(faults(`const a = 1;\n\n// short\n// ${long}\n`), ["code.ts:4"]);
  assert.equal(faults(`/**\n * ${long}\n */\nconst a = "https://${long}";\n`), ["code.ts:2"]);
});

test.run();
