// Finds and makes elements of the page.

/** The element of this id; throws an Error if index.html lacks it. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html: expected an element with the id ${id}, got none`);
  return found as T;
}

type Attributes = Record<string, string | number | boolean | ((event: Event) => void)>;

/** An element with attributes (a function becomes a listener, false omits the attribute) and children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/** A select with these values and names. */
export function choice<T extends string>(
  label: string,
  options: readonly (readonly [value: T, name: string])[],
  chosen: T,
  change: (value: T) => void,
): HTMLSelectElement {
  const items = options.map(([value, name]) =>
    element("option", { value, selected: value === chosen }, name),
  );
  return element(
    "select",
    { "aria-label": label, change: (event) => change((event.target as HTMLSelectElement).value as T) },
    ...items,
  );
}

/** Downloads a file. */
export function download(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes]));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000); // some browsers start reading it later
}

/** A table of text; the first cell of each row is its heading. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): HTMLTableElement {
  const cells = (row: readonly string[]) =>
    row.map((text, i) => (i ? element("td", {}, text) : element("th", { scope: "row" }, text)));
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))),
  );
}
