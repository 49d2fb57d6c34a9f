// The report's part on networks that classify: their scores, and what they found in each test case beside
// what its label shows.

import { type Region, REGION_NAMES } from "../../model/scoring/regions.ts";
import type { Scores } from "../../trainer/loop/records.ts";
import { type CasePresence, type PresenceSummary, unjudged } from "../prediction/presenceFiles.ts";
import { formatScore } from "../terminal/table.ts";
import { cellClass, count, escape } from "./reportPage.ts";

/** The content of a stage's presence.json. */
export type StagePresence = PresenceSummary & { cases: readonly CasePresence[] };

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
    return { title, scores: [AUC, averagePrecision] };
  });
  const notes = found.flatMap(({ title, presence }) =>
    unjudged(presence).map((note) => `<p>${escape(`${title}: ${note}.`)}</p>`),
  );
  return `<section><h2>Presence in windows of ${count(found[0]!.presence.cases.length, "test case")}</h2>
${presenceTable("stage", rows)}
<p>These networks say which regions a window shows, and segment nothing. AUC is the chance that a window with the
region gets a higher probability than one without it: 1 is perfect, 0.5 is a guess.</p>
${notes.join("")}${found.map(casesTable).join("\n")}</section>`;
}

/** AUC and average precision of each region and their mean, a row per stage. */
export function presenceTable(
  heading: string,
  rows: readonly { title: string; scores: readonly Scores[] }[],
): string {
  const columns = [...REGION_NAMES, "mean"] as const;
  const heads = columns.map((name, i) => `<th class="${cellClass(i)}" scope="col">${name}</th>`).join("");
  const body = rows.map(({ title, scores }) => {
    const cells = scores.flatMap((of) =>
      columns.map((name, i) => `<td class="${cellClass(i)}">${formatScore(of[name], 3)}</td>`),
    );
    return `<tr><th scope="row">${escape(title)}</th>${cells.join("")}</tr>`;
  });
  return `<div class="scroll"><table>
<thead>
<tr><th></th><th colspan="4" scope="colgroup">AUC</th><th colspan="4" scope="colgroup">average precision</th></tr>
<tr><th scope="col">${heading}</th>${heads}${heads}</tr>
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
