// Wrong versions of a shader. Only the bodies of functions change: declarations and types stay as they are,
// and so do the updates of loops, since an endless loop shows nothing.
//
// A tokenizer and the operators' precedence suffice: an operand ends at the next weaker operator.

import { type Mutation, Mutations } from "./mutation.ts";

interface Token {
  text: string;
  start: number;
  end: number;
  kind: "name" | "number" | "sign";
  /** The index of a bracket's partner. */
  partner?: number;
  /** The precedence of a binary operator: larger binds closer. */
  precedence?: number;
  /** True in a type, a template or a loop's update. */
  fixed?: boolean;
}

const TOKEN =
  /\/\/[^\n]*|\/\*[^]*?\*\/|(?<name>[A-Za-z_]\w*)|(?<number>(?:0x[\da-fA-F]+|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)[iufh]?)|(?<sign><<=|>>=|->|\+\+|--|&&|\|\||<<|>>|[-+*/%&|^<>=!]=|[^\s\w])/g;

const PRECEDENCE: Record<string, number> = Object.fromEntries(
  [["||"], ["&&"], ["|"], ["^"], ["&"], ["==", "!=", "<", ">", "<=", ">="], ["<<", ">>"], ["+", "-"]]
    .concat([["*", "/", "%"]])
    .flatMap((signs, i) => signs.map((sign) => [sign, i + 1])),
);

/** The replacements of each operator. */
const OPERATORS: Record<string, readonly string[]> = {
  "+": ["-"],
  "-": ["+"],
  "*": ["/"],
  "/": ["*"],
  "%": ["*"],
  "<": ["<="],
  "<=": ["<"],
  ">": [">="],
  ">=": [">"],
  "==": ["!="],
  "!=": ["=="],
  "&&": ["||"],
  "||": ["&&"],
  "&": ["|"],
  "|": ["&"],
  "<<": [">>"],
  ">>": ["<<"],
};
const ASSIGNMENTS: Record<string, string> = { "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=" };
const FUNCTIONS: Record<string, string> = {
  min: "max",
  max: "min",
  floor: "ceil",
  ceil: "floor",
  any: "all",
  all: "any",
};

/** All wrong versions of the shader `code`, in the order of the text. */
export function mutateShader(file: string, code: string): Mutation[] {
  const tokens = tokenize(code);
  const found = new Mutations(file, code);
  for (const [name, open] of bodies(tokens)) mutateBody(tokens, open, found, name);
  return found.sorted();
}

/** The functions of a shader, each with the place after the brace that opens its body. */
export function functionsOf(code: string): Map<string, number> {
  const tokens = tokenize(code);
  return new Map(bodies(tokens).map(([name, open]) => [name, tokens[open]!.end]));
}

/** The functions' names, each with the index of the brace that opens its body. */
function bodies(tokens: readonly Token[]): [name: string, open: number][] {
  return Array.from(tokens.entries()).flatMap(([i, { text }]): [string, number][] => {
    if (text !== "fn") return [];
    let open = tokens[i + 2]!.partner! + 1;
    while (tokens[open]!.text !== "{") open++;
    return [[tokens[i + 1]!.text, open]];
  });
}

function mutateBody(tokens: readonly Token[], open: number, found: Mutations, where: string): void {
  const { code } = found;
  const text = (from: number, to: number) => code.slice(tokens[from]!.start, tokens[to]!.end);
  const replace = (from: number, to: number, by: string) =>
    found.add(tokens[from]!.start, tokens[to]!.end, by, where);

  for (let i = open + 1; i < tokens[open]!.partner!; i++) {
    const token = tokens[i]!;
    const next = tokens[i + 1]!;
    if (token.fixed) continue;
    if (token.kind === "number") replace(i, i, another(token.text));
    else if (token.precedence) {
      const left = leftOf(tokens, i, token.precedence);
      const right = rightOf(tokens, i, token.precedence);
      const [a, b] = [text(left, i - 1), text(i + 1, right)];
      for (const sign of OPERATORS[token.text] ?? []) replace(left, right, `${a} ${sign} ${b}`);
      if (token.text === "+" || token.text === "-") replace(left, right, a);
      if (token.text === "+" && leftOf(tokens, i, token.precedence + 1) === left) replace(left, right, b);
      if (token.text === "-" || token.text === "/") replace(left, right, `(${b}) ${token.text} (${a})`);
    } else if (ASSIGNMENTS[token.text]) replace(i, i, ASSIGNMENTS[token.text]!);
    else if (token.text === "-" || token.text === "!") replace(i, i, "");
    else if (token.text === "[" && (i + 2 < token.partner! || next.kind === "name")) {
      const index = text(i + 1, token.partner! - 1);
      replace(i - 1, token.partner!, `${text(i - 1, i)}${/^\w+$/.test(index) ? index : `(${index})`} + 1]`);
    } else if (token.text === "=" && tokens[i - 1]!.text === "]") negate(i + 1);
    else if (token.text === "return" && next.text !== ";") negate(i + 1);
    else if (token.kind === "name" && next.text === "(") call(i, next.partner!);
  }

  /** Flips the sign of the expression that begins at a token and ends with the statement. */
  function negate(from: number): void {
    const to = tokens.findIndex(({ text }, k) => k > from && text === ";") - 1;
    const value = text(from, to);
    if (!/^[\d.]+$/.test(value)) replace(from, to, `-(${value})`);
  }

  function call(i: number, close: number): void {
    const name = tokens[i]!.text;
    if (FUNCTIONS[name]) replace(i, i, FUNCTIONS[name]);
    else if (name.endsWith("Barrier")) replace(i, close, "");
    else if (name === "if") for (const value of ["true", "false"]) replace(i + 2, close - 1, value);
    else if (name === "for") {
      const [a, b] = separators(i + 1, close, ";");
      replace(a! + 1, b! - 1, "false");
    } else if (name === "select") {
      const commas = separators(i + 1, close, ",");
      for (const value of ["true", "false"]) replace(commas[1]! + 1, close - 1, value);
    } else if (name === "fma") {
      const [comma] = separators(i + 1, close, ",");
      replace(i + 2, comma! - 1, `-(${text(i + 2, comma! - 1)})`);
    }
  }

  /** The separators of a bracket, without those of brackets in it. */
  function separators(from: number, close: number, separator: string): number[] {
    const found: number[] = [];
    for (let i = from + 1; i < close; i++) {
      if (tokens[i]!.text === separator) found.push(i);
      else if (tokens[i]!.partner! > i) i = tokens[i]!.partner!;
    }
    return found;
  }
}

/** The index where the left operand of the operator at `i` begins. */
function leftOf(tokens: readonly Token[], i: number, precedence: number): number {
  let k = i - 1;
  for (; ; k--) {
    const { text, partner, precedence: other } = tokens[k]!;
    if (partner !== undefined && partner < k && text !== "}") k = partner;
    else if (/^[[({},;]$/.test(text) || text === "return" || /^([-+*/%&|^]|<<|>>)?=$/.test(text)) break;
    else if (other !== undefined && other < precedence) break;
  }
  return k + 1;
}

/** The index where the right operand of the operator at `i` ends. */
function rightOf(tokens: readonly Token[], i: number, precedence: number): number {
  let k = i + 1;
  for (; ; k++) {
    const { text, partner, precedence: other } = tokens[k]!;
    if (partner !== undefined && partner > k && text !== "{") k = partner;
    else if (/^[\])},;{]$/.test(text) || (other !== undefined && other <= precedence)) break;
  }
  return k - 1;
}

/** Another number of the same type. */
function another(number: string): string {
  const [, value, suffix] = /^(.*?)([iufh]?)$/.exec(number)!;
  const integer = !/[.e]/.test(value!) && suffix !== "f" && suffix !== "h";
  if (integer) return `${Number(value) + 1}${suffix}`;
  const text = String(Number(value) + 1);
  return `${/[.e]/.test(text) ? text : `${text}.0`}${suffix}`;
}

function tokenize(code: string): Token[] {
  const tokens: Token[] = [];
  for (const { 0: text, index: start, groups } of code.matchAll(TOKEN)) {
    const kind = groups!["name"] ? "name" : groups!["number"] ? "number" : groups!["sign"] ? "sign" : null;
    if (kind) tokens.push({ text, start, end: start + text.length, kind });
  }
  pairBrackets(tokens);
  for (let i = 0; i < tokens.length; i++) fix(tokens, i);
  for (const [i, token] of tokens.entries()) {
    const before = tokens[i - 1];
    const operand = before && (before.kind !== "sign" || /^[)\]]$/.test(before.text));
    if (token.kind === "sign" && !token.fixed && operand && before.text !== "return") {
      token.precedence = PRECEDENCE[token.text];
    }
  }
  return tokens;
}

function pairBrackets(tokens: Token[]): void {
  const open: number[] = [];
  for (const [i, token] of tokens.entries()) {
    if (/^[[({]$/.test(token.text)) open.push(i);
    else if (/^[\])}]$/.test(token.text)) {
      token.partner = open.pop()!;
      tokens[token.partner]!.partner = i;
    }
  }
}

/** Marks a declared type, a template's arguments or a loop's update that begins at `i`. */
function fix(tokens: Token[], i: number): void {
  const { text } = tokens[i]!;
  const mark = (from: number, to: number) => tokens.slice(from, to).forEach((token) => (token.fixed = true));
  if (/^(array|vec[234]|mat[234]x[234]|bitcast|ptr|atomic|var)$/.test(text) && tokens[i + 1]?.text === "<") {
    let depth = 0;
    let end = i + 1;
    do depth += { "<": 1, ">": -1, ">>": -2 }[tokens[end++]!.text] ?? 0;
    while (depth > 0);
    mark(i + 1, end);
  } else if (/^(var|let|const)$/.test(text) && tokens[i + 2]?.text === ":") {
    const end = tokens.findIndex(({ text }, k) => k > i && (text === "=" || text === ";"));
    mark(i + 2, end);
  } else if (text === "for") {
    const close = tokens[i + 1]!.partner!;
    let last = close;
    while (tokens[last]!.text !== ";") last--;
    mark(last, close);
  } else if (text === "@") mark(i, (tokens[i + 2]?.text === "(" ? tokens[i + 2]!.partner! : i + 1) + 1);
}
