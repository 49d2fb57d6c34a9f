// Writes docs/reference/commands.md from the --help of every command, and docs/reference/methods.md from the
// methods' own descriptions. `npm run docs` runs it; a test fails if a page is out of date.

import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const [commandsPage, methodsPage] = ["docs/reference/commands.md", "docs/reference/methods.md"];

/**
 * Runs every command with --help and returns the outputs by name. Commands are what cli/ makes with
 * commander.
 */
export async function helpOfCommands(): Promise<Map<string, string>> {
  const names = readdirSync(join(root, "cli"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const text = readFileSync(join(root, "cli", file), "utf8");
      return Array.from(text.matchAll(/new Command\("(\w+)"\)/g), ([, name]) => name!);
    });
  const helpOf = async (name: string) => {
    const script = join(root, "cli", `${name}.js`);
    const { stdout } = await promisify(execFile)(process.execPath, [script, "--help"]);
    return [name, stdout.trimEnd()] as const;
  };
  return new Map(await Promise.all(names.sort().map(helpOf)));
}

/** Returns the text of the page. */
export function pageOf(commands: ReadonlyMap<string, string>): string {
  const pages = [...commands];
  const index = pages.map(([name]) => `[${name}](#node-cli${name}js)`).join(", ");
  const sections = pages.map(([name, help]) => `## node cli/${name}.js\n\n\`\`\`text\n${help}\n\`\`\`\n`);
  const note = "<!-- Made by npm run docs from the commands themselves: not to be edited. -->";
  return `# Commands\n\n${note}\n\n${index}\n\n${sections.join("\n")}`;
}

/** A method as its page describes it. */
interface Described {
  name: string;
  title: string;
  source: string;
  formula?: string;
  verified?: string;
  settings: Readonly<
    Record<string, { help: string; limits?: string; default?: unknown; defaultHelp?: string }>
  >;
  defaults?: Readonly<Record<string, unknown>>;
}

/** Returns the text of the page of methods. */
export function methodsText(methods: readonly Described[]): string {
  const sections = methods.map(({ name, title, source, formula, verified, settings, defaults }) => {
    const rows = Object.entries(settings).map(([key, { help, ...row }]) => {
      const usual = row.defaultHelp ?? defaults?.[key] ?? row.default;
      return `| \`--${flagOf(key)}\` | ${help} | ${row.limits ?? ""} | ${textOf(usual)} |`;
    });
    const others = Object.entries(defaults ?? {}).filter(([key]) => !(key in settings));
    const own = others.map(([key, value]) => `\`--${flagOf(key)}\` ${textOf(value)}`);
    const table = ["", "| setting | effect | range | default |", "|---|---|---|---|", ...rows, ""];
    return [
      `## ${name}: ${title}`,
      "",
      `${source}.`,
      "",
      "```text",
      formula ?? "",
      "```",
      "",
      verified ?? "",
      ...(rows.length ? table : [""]),
      ...(own.length ? [`Other defaults of its own: ${own.join(", ")}.`, ""] : []),
    ].join("\n");
  });
  const note = "<!-- Made by npm run docs from model/methods/*.ts: not to be edited. -->";
  return `# Methods\n\n${note}\n\n${NOTATION}\n\n${sections.join("\n")}`;
}

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A default as text. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

const NOTATION = `Logits are z [N,C,D,H,W] over C classes (background, enhancing tumour, necrotic core, oedema), of the
student (s) or the teacher (t), and T is the temperature. E_1 ... E_L are the outputs of the encoder's levels, from
full resolution down to the bottleneck E_L, and D_1 those of the decoder's last block. Teachers are constants unless
a formula says otherwise. With all its weights 0, a method equals \`none\` bit for bit; \`wsd\` then equals a
classifier that learns from labels alone. \`desd\` belongs to \`--stage pretrain\`; all others train a student. The defaults that are our choices are not tuned yet.`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { METHODS, PRETRAININGS } = (await import(join(root, "model/methods/index.js"))) as {
    METHODS: Record<string, Described>;
    PRETRAININGS: Record<string, Described>;
  };
  writeFileSync(join(root, commandsPage), pageOf(await helpOfCommands()));
  writeFileSync(join(root, methodsPage), methodsText(Object.values({ ...METHODS, ...PRETRAININGS })));
  console.log(`written: ${commandsPage}, ${methodsPage}`);
}
