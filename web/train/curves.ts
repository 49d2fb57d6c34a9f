// Curves that grow while a training runs, as SVG.

import { largest } from "../../engine/values.ts";
import { Thinned } from "../../trainer/loop/thinned.ts";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [480, 170, 44, 24, 8];
const COLOURS = ["#2b8cbe", "#e4572e", "#58b368", "#b07aa1", "#c9a227", "#7a8b99"];
const MOST = 600; // points of a curve that are kept

interface Point {
  x: number;
  y: number;
}

export class Chart {
  readonly element: HTMLElement;
  readonly #title: string;
  readonly #lines = new Map<string, Thinned<Point>>();
  #due = false;

  constructor(title: string) {
    this.#title = title;
    this.element = document.createElement("figure");
    this.element.className = "chart";
  }

  /** Adds a point to each named line; values that are not finite are skipped. */
  add(x: number, values: Readonly<Record<string, number>>): void {
    for (const [name, y] of Object.entries(values)) {
      if (!Number.isFinite(y)) continue;
      const line = this.#lines.get(name) ?? new Thinned<Point>(MOST);
      this.#lines.set(name, line);
      line.add({ x, y });
    }
    if (this.#due) return;
    this.#due = true; // many points come between two pictures
    setTimeout(() => this.#draw(), 200);
  }

  #draw(): void {
    this.#due = false;
    const curves = [...this.#lines.values()].map((line) => line.items);
    const points = curves.flat();
    const right = largest(
      points.map(({ x }) => x),
      1,
    );
    const top = niceTop(
      largest(
        points.map(({ y }) => y),
        1e-9,
      ),
    );
    const at = ({ x, y }: Point) => {
      const across = LEFT + ((WIDTH - LEFT - 8) * x) / right;
      return `${across.toFixed(1)},${(HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * y) / top).toFixed(1)}`;
    };
    const ticks = [0, 0.5, 1].map((share) => {
      const [, y] = at({ x: 0, y: share * top }).split(",");
      return `<line class="grid" x1="${LEFT}" x2="${WIDTH - 8}" y1="${y}" y2="${y}"/>
        <text x="${LEFT - 6}" y="${Number(y) + 4}" text-anchor="end">${+(share * top).toPrecision(3)}</text>`;
    });
    const lines = curves.map(
      (line, i) =>
        `<polyline fill="none" stroke="${colour(i)}" stroke-width="1.6" points="${line.map(at).join(" ")}"/>`,
    );
    const names = [...this.#lines.keys()];
    const spoken = names.map((name, i) => `${name} ${curves[i]!.at(-1)!.y.toPrecision(3)}`).join(", ");
    const axis = `<text x="${WIDTH - 8}" y="${HEIGHT - 6}" text-anchor="end">${right}</text>`;
    const label = `${this.#title}: ${spoken}`;
    this.element.innerHTML = `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">${ticks.join("")}${lines.join("")}${axis}</svg>`;
    this.element.querySelector("svg")!.setAttribute("aria-label", label);
    const caption = document.createElement("figcaption");
    caption.append(this.#title, ...names.flatMap((name, i) => [" ", key(name, colour(i))]));
    this.element.prepend(caption);
  }
}

function colour(i: number): string {
  return COLOURS[i % COLOURS.length]!;
}

function key(name: string, colour: string): HTMLElement {
  const made = document.createElement("span");
  made.textContent = `— ${name}`;
  made.style.color = colour;
  made.className = "key";
  return made;
}

/** A number of few digits, not below the value and not far above. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) ?? 10) * power;
}
