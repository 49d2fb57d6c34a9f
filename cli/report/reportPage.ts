// The parts of a page of results: the frame, legends, figures, numbers as text. Style, charts (SVG) and
// slices (PNG) are inline, and the page's policy forbids it to load anything. All text goes through `escape`.

import type { Chart } from "./charts.ts";
import { reportStyle } from "./reportStyle.ts";

/** The page may show its own content and load nothing. */
const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/** A whole page, without the empty sections. */
export function renderPage(title: string, subtitle: string | undefined, sections: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${reportStyle}</style>
</head>
<body>
<header><h1>${escape(title)}</h1>${subtitle === undefined ? "" : `<p>${escape(subtitle)}</p>`}</header>
<main>
${sections.filter((section) => section !== "").join("\n")}
</main>
</body>
</html>
`;
}

/** Charts side by side, with a legend for those of several lines; empty without charts. */
export function figuresOf(charts: readonly (Chart | null)[]): string {
  const figures = charts.flatMap((chart) => {
    if (chart === null) return [];
    const lines = chart.series.map((name, i) => ({ name, colour: `var(--series-${(i % 7) + 1})` }));
    const names = lines.length > 1 ? legend(lines, "legend lines") : "";
    return [`<figure><figcaption>${escape(chart.title)}</figcaption>${names}${chart.svg}</figure>`];
  });
  return figures.length > 0 ? `<div class="charts">${figures.join("\n")}</div>` : "";
}

/** A list of names with their colours. */
export function legend(entries: readonly { name: string; colour: string }[], style = "legend"): string {
  const items = entries.map(
    ({ name, colour }) => `<li><i style="background:${colour}"></i>${escape(name)}</li>`,
  );
  return `<ul class="${style}">${items.join("")}</ul>`;
}

/** "1 case", "2 cases"; `many` is the plural if it does not end in s. */
export function count(number: number, noun: string, many = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : many}`;
}

/** Seconds as "12.3 s", "4.5 min" or "6.7 h". */
export function timeText(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Text made safe in HTML's content and in quoted attributes. */
export function escape(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => names[character]!);
}

/** The class of a cell by its place in a group of four columns. */
export function cellClass(column: number): string {
  return ["group", "", "", "mean"][column]!;
}
