// Writes docs/reference/commands.md from the --help of every command. `npm run docs` runs it; a test fails if
// the page is out of date.

import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = "docs/reference/commands.md";

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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(root, page), pageOf(await helpOfCommands()));
  console.log(`written: ${page}`);
}
