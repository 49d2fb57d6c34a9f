// The report's part on networks that classify: their scores, and what they found in each test case beside
// what its label shows.

import { type Region, REGION_NAMES } from "../../model/scoring/regions.ts";
import { type CasePresence, type StagePresence, unjudged } from "../prediction/presenceFiles.ts";
import { formatScore } from "../terminal/table.ts";
import { cellClass, count, escape } from "./reportPage.ts";

interface Classified {
  title: string;
  presence: StagePresence;
}

/** The section of the stages that classify; empty without one. */
export function presenceSection(
  stages: readonly { title: string; presence?: StagePresence | undefined }[],
): string {
  const found = stages.flatMap(({ title, presence }) => (presence ? [{ title, presence }] : []));
  if (!found.length) return "";
  const rows = found.map(({ title, presence: { AUC, averagePrecision } }) => {
    const scores = [AUC, averagePrecision].map((of) => COLUMNS.map((name) => formatScore(of[name], 3)));
    return { titles: [title], scores };
  });
  const notes = found.flatMap(({ title, presence }) =>
    unjudged(presence).map((note) => `<p>${escape(`${title}: ${note}.`)}</p>`),
  );
  return `<section><h2>Presence in windows of ${count(found[0]!.presence.cases.length, "test case")}</h2>
${presenceTable(["stage"], rows)}
<p>These networks say which regions a window shows, and segment nothing. AUC is the chance that a window with the
region gets a higher probability than one without it: 1 is perfect, 0.5 is a guess.</p>
${notes.join("")}${found.map(casesTable).join("\n")}</section>`;
}

/** The regions and their mean, whose AUC and average precision a table has. */
export const COLUMNS = [...REGION_NAMES, "mean"] as const;

/**
 * The table of AUC and average precision: each row has a title for each heading, and the texts of both
 * scores, in the order of COLUMNS.
 */
export function presenceTable(
  headings: readonly string[],
  rows: readonly { titles: readonly string[]; scores: readonly (readonly string[])[] }[],
): string {
  const heads = COLUMNS.map((name, i) => `<th class="${cellClass(i)}" scope="col">${name}</th>`).join("");
  const leading = headings.map((name, i) => `<th${i > 0 ? ' class="text"' : ""} scope="col">${name}</th>`);
  const body = rows.map(({ titles, scores }) => {
    const [first, ...others] = titles.map(escape);
    const titled = [
      `<th scope="row">${first}</th>`,
      ...others.map((title) => `<td class="text">${title}</td>`),
    ];
    const cells = scores.flatMap((of) => of.map((text, i) => `<td class="${cellClass(i)}">${text}</td>`));
    return `<tr>${[...titled, ...cells].join("")}</tr>`;
  });
  return `<div class="scroll"><table${headings.length > 1 ? ' class="dense"' : ""}>
<thead>
<tr>${headings.map(() => "<th></th>").join("")}<th colspan="4" scope="colgroup">AUC</th><th colspan="4" scope="colgroup">average precision</th></tr>
<tr>${leading.join("")}${heads}${heads}</tr>
</thead>
<tbody>${body.join("\n")}</tbody></table></div>`;
}

/** Each case's highest probabilities, and in how many of its windows the label shows the region. */
function casesTable({ title, presence: { cases } }: Classified): string {
  const heads = REGION_NAMES.map(
    (region) => `<th class="group" scope="col">${region}</th><th scope="col">in the label</th>`,
  );
  const body = cases.map((one) => {
    const cells = REGION_NAMES.map((region) => {
      const { probability } = one[region];
      return `<td class="group">${probability.toFixed(3)}</td><td>${labelText(one, region)}</td>`;
    });
    return `<tr><th scope="row">${escape(one.case)}</th>${cells.join("")}</tr>`;
  });
  return `<h3>${escape(`${title}: highest probability of a window, and windows whose label shows the region`)}</h3>
<div class="scroll"><table><thead><tr><th scope="col">case</th>${heads.join("")}</tr></thead>
<tbody>${body.join("\n")}</tbody></table></div>`;
}

/** "yes, 3 of 27 windows", or "no". */
function labelText({ windows, ...one }: CasePresence, region: Region): string {
  const { labelled } = one[region];
  if (labelled === undefined) return "-";
  return labelled > 0 ? `yes, ${labelled} of ${count(windows, "window")}` : "no";
}
