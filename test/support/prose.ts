// Finds the prose in a file of the project, which people read: comments and strings of TypeScript, comments
// of WGSL, CSS and Python, all text of Markdown and HTML.

import ts from "typescript";

/** A piece of prose: a comment, a string, a paragraph, a cell of a table. */
export interface Piece {
  /** The line where it begins, counted from 1. */
  line: number;
  text: string;
}

/** A file's prose; `comments` are a part of it. A TypeScript file has its syntax tree, too. */
export interface Prose {
  prose: Piece[];
  comments: Piece[];
  tree?: ts.SourceFile;
}

const C_COMMENTS = /\/\*[^]*?\*\/|(?:^[ \t]*)?\/\/.*(?:\n[ \t]*\/\/.*)*/gm;
const PYTHON_COMMENTS = /"""[^]*?"""|(?:^[ \t]*)?#.*(?:\n[ \t]*#.*)*/gm;

/** The prose of a file, by its ending. Comments on successive lines are one piece. */
export function proseOf(path: string, text: string): Prose {
  const ending = /\.\w+$/.exec(path)?.[0];
  if (ending === ".ts") return proseOfModule(path, text);
  if (ending === ".md") {
    const prose = split(text, /\n[ \t]*\n|\n(?=[ \t]*(?:[-*#>|]|\d+\.))|\|/g);
    return { prose, comments: [] };
  }
  if (ending === ".html") {
    const labels = /(?:aria-label|title|alt|placeholder|content)="([^"]*)"/g;
    const comments = matches(text, /<!--([^]*?)-->/g);
    return {
      prose: [...split(text, /<!--[^]*?-->|<[^>]*>/g), ...matches(text, labels), ...comments],
      comments,
    };
  }
  const comments = commentsIn(text, ending === ".py" ? PYTHON_COMMENTS : C_COMMENTS);
  return { prose: comments, comments };
}

/** The strings and comments of a TypeScript file. Comments are sought in its text without strings. */
function proseOfModule(path: string, text: string): Prose {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, false);
  const strings: Piece[] = [];
  const code = text.split("");
  const hide = (node: ts.Node) => {
    for (let i = node.getStart(tree); i < node.end; i++) if (code[i] !== "\n") code[i] = "_";
  };
  const visit = (node: ts.Node): void => {
    const line = () => lineAt(text, node.getStart(tree));
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      strings.push({ line: line(), text: node.text });
      hide(node);
    } else if (ts.isTemplateExpression(node)) {
      const parts = [node.head, ...node.templateSpans.map(({ literal }) => literal)];
      strings.push({ line: line(), text: parts.map((part) => part.text).join("…") });
      parts.forEach(hide);
    } else if (ts.isRegularExpressionLiteral(node)) hide(node);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  const comments = commentsIn(code.join(""), C_COMMENTS);
  return { prose: [...comments, ...strings], comments, tree };
}

/** The comments that a pattern finds, without the marks that make them comments. */
function commentsIn(text: string, pattern: RegExp): Piece[] {
  return Array.from(text.matchAll(pattern), ({ 0: found, index }) => {
    const lines = found
      .split("\n")
      .map((line) => line.replace(/^[ \t]*(?:\/\*\*?|\*\/|\*|\/\/|#+|""")?[ \t]?/, ""));
    return { line: lineAt(text, index), text: lines.join("\n").replace(/[ \t]*(?:\*\/|""")$/, "") };
  });
}

function matches(text: string, pattern: RegExp): Piece[] {
  return Array.from(text.matchAll(pattern), ({ 1: found, index }) => ({
    line: lineAt(text, index),
    text: found!,
  }));
}

/**
 * The parts of a text between matches of a separator, without the marks of headings, lists and quotations.
 */
function split(text: string, separator: RegExp): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  const add = (end: number) => {
    const part = text.slice(at, end);
    const blank = /^(?:\s|[-*#>`_]|\d+\.)*/.exec(part)![0].length;
    if (blank < part.length) pieces.push({ line: lineAt(text, at + blank), text: part.slice(blank) });
  };
  for (const { 0: found, index } of text.matchAll(separator)) {
    add(index);
    at = index + found.length;
  }
  add(text.length);
  return pieces;
}

function lineAt(text: string, index: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < index; i = text.indexOf("\n", i + 1)) line++;
  return line;
}
