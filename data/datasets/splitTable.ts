// The rows of a list of cases: one name a line, or a table (CSV) whose header has a column of names.

import { largest } from "../../engine/values.ts";
import { DataError } from "../errors.ts";
import { idOf } from "./writtenNames.ts";

/** A named case. */
export interface Row {
  /** As the file writes it, in Unicode's form NFC. */
  name: string;
  /** Its line, from 1 on. */
  line: number;
  /** The value of the column of sets or folds; null without one. */
  set: string | null;
}

const NAMES = /^((case|subject|patient|image|scan)?(id|name)?|brats\d*(subject)?id)$/;
const SETS = ["set", "split", "subset", "partition", "fold"];

/**
 * Returns the rows of a list. Blank lines, lines that begin with #, and remarks after " #" in a list without
 * columns do not count. If several columns may hold the names (BraTS's name_mapping.csv has one for each
 * year), the one with most names of `known` cases is used. Throws a DataError that names the file for a table
 * without such a column.
 */
export function rowsOf({ name, text }: { name: string; text: string }, known: ReadonlySet<string>): Row[] {
  const lines = text
    .normalize("NFC")
    .split(/\r\n|\r|\n/)
    .map((content, i) => ({ content: content.trim(), line: i + 1 }))
    .filter(({ content }) => content !== "" && !content.startsWith("#"));
  const [first] = lines;
  if (!first) throw new DataError(`${name}: expected names of cases, one a line, got none`);
  const separator = ["\t", ";", ","].find((one) => first.content.includes(one)) ?? ",";
  const header = cellsOf(first.content, separator).map((cell) =>
    cell.toLowerCase().replace(/[^a-z0-9]/g, ""),
  );
  const columns = [...header.keys()].filter((i) => header[i] !== "" && NAMES.test(header[i]!));
  if (!columns.length && header.length === 1)
    return lines.map(({ content, line }) => ({ name: unquoted(content.split(/\s#/)[0]!), line, set: null }));
  if (!columns.length)
    throw new DataError(
      `${name}: expected one name a line, or a table whose first line names its columns, one of them name, ` +
        `case, id, subject or patient, got ${first.content}`,
    );
  const table = lines.slice(1).map(({ content, line }) => ({ cells: cellsOf(content, separator), line }));
  const hits = columns.map((i) => table.filter(({ cells }) => idOf(cells[i] ?? "", known) !== null).length);
  const column = columns[hits.indexOf(largest(hits))]!;
  const set = header.indexOf(SETS.find((one) => header.includes(one)) ?? "none");
  return table.map(({ cells, line }) => {
    const cell = cells[column];
    if (!cell) throw new DataError(`${name}: line ${line}: expected the name of a case, got nothing`);
    return { name: cell, line, set: set < 0 ? null : (cells[set] ?? "") };
  });
}

/** The cells of a line, some of them in double quotes. */
function cellsOf(line: string, separator: string): string[] {
  const cells = [""];
  let quoted = false;
  for (const letter of line) {
    if (letter === '"') quoted = !quoted;
    if (letter === separator && !quoted) cells.push("");
    else cells.push(cells.pop()! + letter);
  }
  return cells.map(unquoted);
}

function unquoted(cell: string): string {
  return cell
    .trim()
    .replace(/^"(.*)"$/, "$1")
    .replaceAll('""', '"')
    .trim();
}
