// Typed linting of every .ts file; layout is Prettier's business (.prettierrc.json).
import tseslint from "typescript-eslint";

/** A spread passes each value on the stack, which holds some 120,000: a longer list is a RangeError. */
const SPREADS = [
  [
    "CallExpression[callee.object.name='Math'][callee.property.name=/^(min|max|hypot)$/] > SpreadElement",
    "smallest() and largest()",
  ],
  ["CallExpression[callee.property.name=/^(push|unshift|splice)$/] > SpreadElement", "append()"],
  ["CallExpression[callee.property.name=/^from(CharCode|CodePoint)$/] > SpreadElement", "a loop"],
].map(([selector, instead]) => ({
  selector,
  message: `A long list overflows the stack: use ${instead} (engine/values.ts).`,
}));

export default tseslint.config(
  {
    ignores: [
      "**/*.js",
      "!eslint.config.js",
      "coverage/",
      "runs/",
      "phantom/",
      "shaders/types.ts",
      "web/dist/",
    ],
  },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strict],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-console": "off",
      "no-var": "error",
      "prefer-const": "error",
      "object-shorthand": "error",
      "@typescript-eslint/ban-ts-comment": ["error", { "ts-expect-error": "allow-with-description" }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", ignoreRestSiblings: true }],
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/require-await": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      // `x[i]!` is how a bounded index is written under noUncheckedIndexedAccess.
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/no-dynamic-delete": "off",
    },
  },
  {
    files: ["**/*.ts"],
    ignores: ["test/**"], // whose lists are short
    rules: { "no-restricted-syntax": ["error", ...SPREADS] },
  },
);
