// The report's style sheet: one column of text, aligned numbers, light and dark colours. Lines of charts use
// Okabe and Ito's colour-blind safe palette, lighter on a dark ground.

/** The colours of lines on a light ground, in order. */
export const LIGHT_SERIES = [
  "#0072b2",
  "#d55e00",
  "#009e73",
  "#b4568a",
  "#b87f00",
  "#4a9fd4",
  "#70757a",
] as const;

const variables = LIGHT_SERIES.map((colour, i) => `--series-${i + 1}: ${colour};`).join(" ");

/** CSS of report.html. */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --ground: #fcfcfb; --ink: #1d1f21; --quiet: #62676c; --rule: #dcdedf; --alarm: #b3261e;
  ${variables}
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16181a; --ink: #e4e6e7; --quiet: #9aa0a5; --rule: #34383b; --alarm: #ff8a80;
    --series-1: #56b4e9; --series-2: #ff8f4d; --series-3: #2cc295; --series-4: #e29ac4;
    --series-5: #f0b93f; --series-6: #9fd3f5; --series-7: #a9aeb3;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 72rem;
  background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.2; font-weight: 600; letter-spacing: -0.01em; margin: 0 0 0.25rem; }
h1, h2 { overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; font-weight: 600; margin: 3rem 0 0.75rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 1.75rem 0 0.25rem; }
p { max-width: 44rem; margin: 0.5rem 0; }
header p { max-width: none; }
header p, .quiet, figcaption { color: var(--quiet); }
.quiet, figcaption, .legend, details { font-size: 0.875rem; }
.alarm { color: var(--alarm); font-weight: 600; }
h3 .quiet { font-weight: 400; margin-left: 0.5em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: 0.35rem 0.9rem; text-align: right; white-space: nowrap; font-weight: 400; }
thead th { color: var(--quiet); font-size: 0.875rem; padding-bottom: 0.25rem; }
thead tr:last-child th, tbody tr:last-child > * { border-bottom: 1px solid var(--rule); }
thead tr:first-child th[colspan] { text-align: left; padding-left: 2.6rem; color: var(--ink); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.text { text-align: left; }
.group { padding-left: 2.6rem; }
.dense th, .dense td { padding-left: 0.45rem; padding-right: 0.45rem; }
.dense .group, .dense thead tr:first-child th[colspan] { padding-left: 1.5rem; }
.dense th:first-child { padding-left: 0; }
.mean, tr.mean > * { font-weight: 600; }
tr.mean > * { border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
.heat .circle { text-align: center; }
.heat .circle:first-child { padding-left: 0; }
.heat .group { padding-left: 0.45rem; border-left: 1.25rem solid transparent; background-clip: padding-box; }
.dense.heat thead tr:first-child th[colspan] { padding-left: 1.7rem; }
.notes { max-width: 44rem; padding-left: 1.2em; color: var(--quiet); font-size: 0.875rem; }
.scroll + p { margin-top: 1rem; }
figure { margin: 0; }
.slices { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(9rem, 15rem); gap: 0.75rem; }
.slices img { display: block; width: 100%; background: #000; border-radius: 3px; image-rendering: pixelated; }
.slices figcaption { margin-top: 0.3rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; list-style: none; }
.legend { margin: 0.5rem 0 1rem; padding: 0; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.45em; border-radius: 2px; }
.legend.lines i { height: 0.2em; vertical-align: 0.25em; width: 1.2em; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 0.5rem 2rem;
  align-items: end; }
.charts figcaption { color: var(--ink); }
.charts .legend { margin: 0; }
.charts > figure { max-width: 46rem; }
svg { display: block; width: 100%; height: auto; font-variant-numeric: tabular-nums; }
svg + .scroll { margin-top: 1rem; }
details { margin-top: 0.75rem; }
summary { cursor: pointer; }
pre { overflow-x: auto; font: 0.8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
@media print { body { padding: 0; max-width: none; } figure, tr { break-inside: avoid; } }
`;
