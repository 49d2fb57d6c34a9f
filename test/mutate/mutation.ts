// A small wrong version of a source file: one part of its text replaced by another.

export interface Mutation {
  /** From the project's root. */
  file: string;
  start: number;
  end: number;
  /** The replacement. */
  text: string;
  /** The line where it begins: number from 1, and text without indentation. */
  line: number;
  source: string;
  /** `before → after`, with ` (2)` for the second such change in a line. */
  change: string;
  /** The function around it; "static" is code that runs when a module is loaded. */
  where: string;
}

/** Collects the mutations of one file in the order of the text, each wrong version once. */
export class Mutations {
  readonly list: Mutation[] = [];
  readonly #seen = new Set<string>();

  readonly file: string;
  readonly code: string;

  constructor(file: string, code: string) {
    this.file = file;
    this.code = code;
  }

  add(start: number, end: number, text: string, where: string): void {
    const key = `${start} ${end} ${text}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const { code, file } = this;
    const line = code.slice(0, start).split("\n").length;
    const source = code.split("\n")[line - 1]!.trim();
    const change = `${flat(code.slice(start, end))} → ${flat(text) || "nothing"}`;
    this.list.push({ file, start, end, text, line, source, change, where });
  }

  sorted(): Mutation[] {
    const times = new Map<string, number>();
    return this.list
      .sort((a, b) => a.start - b.start || a.end - b.end)
      .map((mutation) => {
        const key = `${mutation.line} ${mutation.change}`;
        const time = (times.get(key) ?? 0) + 1;
        times.set(key, time);
        return time === 1 ? mutation : { ...mutation, change: `${mutation.change} (${time})` };
      });
  }
}

function flat(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
