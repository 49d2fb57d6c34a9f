// Wrong versions of a TypeScript module, all in one program: where versions differ, the program asks which
// one is active, mutated(17) ? a - b : a + b. So no version has to be loaded, and the question shows which
// code a test runs.

import ts from "typescript";
import { type Mutation, Mutations } from "./mutation.ts";

const { SyntaxKind } = ts;

/** The replacement of each binary operator. */
const OPERATORS: Partial<Record<ts.SyntaxKind, string>> = {
  [SyntaxKind.PlusToken]: "-",
  [SyntaxKind.MinusToken]: "+",
  [SyntaxKind.AsteriskToken]: "/",
  [SyntaxKind.SlashToken]: "*",
  [SyntaxKind.PercentToken]: "*",
  [SyntaxKind.AsteriskAsteriskToken]: "*",
  [SyntaxKind.LessThanToken]: "<=",
  [SyntaxKind.LessThanEqualsToken]: "<",
  [SyntaxKind.GreaterThanToken]: ">=",
  [SyntaxKind.GreaterThanEqualsToken]: ">",
  [SyntaxKind.EqualsEqualsEqualsToken]: "!==",
  [SyntaxKind.ExclamationEqualsEqualsToken]: "===",
  [SyntaxKind.AmpersandAmpersandToken]: "||",
  [SyntaxKind.BarBarToken]: "&&",
  [SyntaxKind.GreaterThanGreaterThanToken]: "<<",
  [SyntaxKind.PlusEqualsToken]: "-=",
  [SyntaxKind.AsteriskEqualsToken]: "/=",
};
const FUNCTIONS: Record<string, string> = {
  "Math.min": "Math.max",
  "Math.max": "Math.min",
  "Math.ceil": "Math.floor",
  "Math.floor": "Math.ceil",
};

/**
 * All wrong versions of the module `code`, in the order of the text. Messages of errors stay as they are, and
 * so does the `work` of a call, which only decides when it is submitted.
 */
export function mutateScript(file: string, code: string): Mutation[] {
  const found = new Mutations(file, code);
  visit(ts.createSourceFile(file, code, ts.ScriptTarget.ES2022, true), "static");
  return found.sorted();

  function replace(node: ts.Node, text: string, where: string): void {
    found.add(node.getStart(), node.end, text, where);
  }

  function visit(node: ts.Node, where: string): void {
    if (ts.isTypeNode(node) || ts.isThrowStatement(node) || ts.isImportDeclaration(node)) return;
    if (ts.isPropertyAssignment(node) && node.name.getText() === "work") return;
    if (ts.isVariableDeclaration(node) && node.name.getText() === "work") return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isFunctionLike(node) || ts.isPropertyDeclaration(node)) {
      where = node.name?.getText() ?? (where === "static" ? "" : where);
    }
    mutate(node, (target, text) => replace(target, text, where));
    ts.forEachChild(node, (child) => visit(child, where));
  }
}

function mutate(node: ts.Node, replace: (target: ts.Node, text: string) => void): void {
  const { parent } = node;
  if (ts.isBinaryExpression(node)) binary(node, replace);
  else if (ts.isNumericLiteral(node) && !(ts.isPropertyAssignment(parent) && parent.name === node)) {
    replace(node, String(Number(node.text) + 1));
  } else if (node.kind === SyntaxKind.TrueKeyword) replace(node, "false");
  else if (node.kind === SyntaxKind.FalseKeyword) replace(node, "true");
  else if (ts.isPrefixUnaryExpression(node) && /^[-!]/.test(node.getText()))
    replace(node, node.operand.getText());
  else if (ts.isElementAccessExpression(node)) {
    const index = node.argumentExpression;
    if (!ts.isStringLiteral(index) && !ts.isNumericLiteral(index)) replace(index, `${index.getText()} + 1`);
  } else if (ts.isCallExpression(node) && FUNCTIONS[node.expression.getText()]) {
    replace(node.expression, FUNCTIONS[node.expression.getText()]!);
  }
  if (ts.isExpressionStatement(node) && ts.isCallExpression(node.expression))
    replace(node.expression, "undefined");
  if (ts.isIfStatement(node)) condition(node.expression);
  if (ts.isConditionalExpression(node)) condition(node.condition);
  if (ts.isForStatement(node) && node.condition) replace(node.condition, "false");
  if (ts.isWhileStatement(node)) replace(node.expression, "false");

  function condition(expression: ts.Expression): void {
    replace(expression, "true");
    replace(expression, "false");
  }
}

function binary(node: ts.BinaryExpression, replace: (target: ts.Node, text: string) => void): void {
  const { left, right, operatorToken } = node;
  if ([left, right].some((side) => ts.isStringLiteral(side) || ts.isTemplateExpression(side))) return;
  const [a, b] = [left.getText(), right.getText()];
  const other = OPERATORS[operatorToken.kind];
  if (other) replace(node, `${a} ${other} ${b}`);
  const sign = operatorToken.kind;
  if (sign === SyntaxKind.PlusToken || sign === SyntaxKind.MinusToken) replace(node, a);
  const chain = ts.isBinaryExpression(left) && left.operatorToken.kind === SyntaxKind.PlusToken;
  if (sign === SyntaxKind.PlusToken && !chain) replace(node, b);
  if (sign === SyntaxKind.MinusToken || sign === SyntaxKind.SlashToken)
    replace(node, `(${b}) ${operatorToken.getText()} (${a})`);
}

/** The module in JavaScript. It behaves as the first of `mutations` for whose number mutated() is true. */
export function instrument(code: string, mutations: readonly (Mutation & { id: number })[]): string {
  const sites = new Map<string, (Mutation & { id: number })[]>();
  for (const mutation of mutations) {
    const key = `${mutation.start} ${mutation.end}`;
    sites.set(key, [...(sites.get(key) ?? []), mutation]);
  }
  const ordered = [...sites.values()].sort((a, b) => a[0]!.start - b[0]!.start || b[0]!.end - a[0]!.end);
  const text = emit(0, code.length);
  const compilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  };
  return ts.transpileModule(text, { compilerOptions, fileName: mutations[0]?.file }).outputText;

  function emit(from: number, to: number): string {
    let text = "";
    let at = from;
    while (ordered.length && ordered[0]![0]!.start < to) {
      const site = ordered.shift()!;
      const { start, end } = site[0]!;
      text += code.slice(at, start);
      const versions = site.map((mutation) => `mutated(${mutation.id}) ? (${mutation.text}) : `).join("");
      text += `(${versions}(${emit(start, end)}))`;
      at = end;
    }
    return text + code.slice(at, to);
  }
}
