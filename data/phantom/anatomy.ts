// The phantom's head: a healthy brain as a function of position. Each part (cerebrum, temporal lobes,
// cerebellum, stem, ventricles, deep grey) is a shape with an approximate depth in mm, positive inside.
// Sulci, fissures and the outer surface together give one distance to the nearest pial surface, and that
// distance decides the tissue: fluid, then a ribbon of grey, then white. Results are written in place
// because this runs for every voxel.

import type { Random } from "../../engine/autograd/random.ts";
import { bell, within } from "./draw.ts";
import { emptyField, type Field, sample, smoothField, stamp } from "./field.ts";

/** One head: its random shape, vessels and old lesions. */
export type Anatomy = {
  scale: number;
  ventricles: number; // factor for the ventricles' radius
  sulcus: number; // depth of the sulci, mm
  steepness: number; // mm between a sulcus and where `folds` is 1
  gap: number; // half the width of a sulcus, mm
  folds: Field;
  vessels: Field; // 0..1
  lesions: Field; // 0..1: white-matter hyperintensities
};

/** A position in the head, in mm: x to the patient's left, y backwards, z upwards, 0 in the middle. */
export type Point = { x: number; y: number; z: number };

/**
 * The tissue at a point: `depth` in mm below the outer surface, and fractions that sum to 1 (all 0 outside).
 */
export type Tissue = { depth: number; fluid: number; grey: number; white: number };

// A lateral ventricle (x, y, z, radius): frontal horn, body, atrium, occipital horn; then its temporal horn.
const VENTRICLE = [
  [13, -35, 7, 3.2],
  [6, -20, 13, 5],
  [8, 2, 20, 4.6],
  [18, 28, 13, 6],
  [22, 47, 6, 2.6],
] as const;
const TEMPORAL_HORN = [
  [19, 26, 11, 5],
  [31, 6, -13, 2.4],
] as const;

/** Draws a random head for version 1. */
export function drawAnatomy(random: Random): Anatomy {
  const ventricles = 0.75 + 0.65 * random.next();
  const head = {
    scale: 0.89 + 0.1 * random.next(),
    ventricles,
    sulcus: 14 + 7 * random.next(),
    steepness: 2.7,
    gap: 0.7,
    folds: smoothField(random, 6),
  };
  return { ...head, vessels: drawVessels(random), lesions: drawLesions(random, ventricles) };
}

/** Draws a random head for version 2: young to old, with wider gyri and narrower sulci than version 1. */
export function drawVariedAnatomy(random: Random): Anatomy {
  const age = random.next(); // the brain shrinks with it: larger ventricles, wider sulci
  const ventricles = Math.max(0.5, 0.55 + 0.8 * age + 0.15 * bell(random));
  const head = {
    scale: within(random, 0.9, 0.97),
    ventricles,
    sulcus: within(random, 13, 20),
    steepness: 3.3,
    gap: Math.max(0, 0.45 + 0.8 * age + 0.15 * bell(random)),
    folds: smoothField(random, 7.5, 2),
  };
  return { ...head, vessels: drawVessels(random), lesions: drawLesions(random, ventricles) };
}

/** Writes the tissue at a point to `out`; `softness` is the width of a boundary in mm (about a voxel). */
export function tissueAt(head: Anatomy, { x, y, z }: Point, softness: number, out: Tissue): void {
  const side = Math.abs(x);
  const egg = 1 + 0.0013 * y - 0.00001 * y * y; // narrower in front
  const dome = ellipsoid(side / egg, y, z - 4, 65, 74, 57);
  out.depth = dome;
  out.fluid = out.grey = out.white = 0;
  if (dome < -25) return;
  const cerebrum = -smoothMax(-dome, -(z + 17), 12);
  const temporal = ellipsoid(side - 38, y + 4, z + 23, 23, 41, 19);
  const hemisphere = smoothMax(cerebrum, temporal, 5);
  const cerebellum = ellipsoid(side - 18, y - 41, z + 33, 31, 27, 21);
  const down = Math.min(1, Math.max(0, (-5 - z) / 43));
  const slant = y - 8 - 13 * down;
  const rise = z + 5 + 43 * down;
  const stem = 11 - Math.sqrt(side * side + slant * slant + rise * rise);
  out.depth = smoothMax(smoothMax(hemisphere, cerebellum, 9), stem, 9);
  if (out.depth < -6) return;

  const pia = fromPia(head, x, y, z, hemisphere);
  let folia = cerebellum + 0.9;
  if (folia > pia) {
    const leaf = Math.abs(sample(head.folds, 0.8 * x, 1.5 * y, 1.9 * z)) * 2.4;
    folia = Math.min(cerebellum, leaf + Math.max(0, cerebellum - 13)) + 0.9;
  }
  const inward = Math.max(pia, folia, stem + 2.5); // the stem has no ribbon

  const fluid = Math.max(
    1 - ramp(inward - head.gap, softness),
    ventricleAt(head.ventricles, side, y, z, softness),
  );
  const deep = Math.max(
    ellipsoid(side - 10, y - 9, z - 7, 8, 14, 8),
    ellipsoid(side - 15, y + 24, z - 11, 5, 11, 9),
    ellipsoid(side - 26, y + 3, z - 2, 7, 18, 9),
  );
  const grey = Math.max(1 - ramp(inward - 3.6, softness), 0.8 * ramp(deep, softness + 1));
  out.fluid = fluid;
  out.grey = (1 - fluid) * grey;
  out.white = (1 - fluid) * (1 - grey);
}

// Returns the distance to the nearest fluid: the outer surface, a sulcus, the fissure between the hemispheres
// (down to the callosum) or the one above the temporal lobe. `depth` is the depth below the hemisphere's
// hull.
function fromPia(head: Anatomy, x: number, y: number, z: number, depth: number): number {
  const side = Math.abs(x);
  const surface = depth + 0.9; // skull stripping leaves little fluid outside
  const outwards = 1 + (0.8 * Math.max(0, depth)) / (Math.sqrt(x * x + y * y + z * z) + 1);
  const fold = sample(head.folds, x * outwards, y * outwards, z * outwards); // constant along a sulcus' depth
  const sulcus = head.steepness * Math.abs(fold) + Math.max(0, depth - head.sulcus);
  const callosum = Math.sqrt((y * y) / 5800 + ((z - 4) * (z - 4)) / 3250);
  const fissure = side + 0.1 + 40 * Math.max(0, 0.58 - callosum);
  const sylvian =
    Math.abs(z + 5 - 0.25 * (y + 10)) + Math.max(0, 37 - side) + Math.max(0, Math.abs(y + 8) - 27);
  return Math.min(surface, sulcus, fissure, sylvian);
}

/** Returns 0 below -width/2, 1 above width/2, and a cubic between. */
export function ramp(value: number, width: number): number {
  const t = Math.min(1, Math.max(0, value / width + 0.5));
  return t * t * (3 - 2 * t);
}

/** Returns the distance to the wall of the nearer lateral ventricle in mm, negative inside. */
export function fromVentricle(head: Anatomy, { x, y, z }: Point): number {
  return toVentricle(head.ventricles, Math.abs(x), y, z);
}

// The head is symmetric here: `side` is |x|.
function toVentricle(factor: number, side: number, y: number, z: number): number {
  let nearest = Infinity;
  for (const chain of [VENTRICLE, TEMPORAL_HORN]) {
    for (let i = 0; i + 1 < chain.length; i++) {
      const [ax, ay, az, from] = chain[i]!;
      const [bx, by, bz, to] = chain[i + 1]!;
      const [ux, uy, uz] = [bx - ax, by - ay, bz - az];
      const projected = (side - ax) * ux + (y - ay) * uy + (z - az) * uz;
      const along = Math.min(1, Math.max(0, projected / (ux * ux + uy * uy + uz * uz)));
      const dx = side - ax - along * ux;
      const dy = y - ay - along * uy;
      const dz = z - az - along * uz;
      const distance = Math.sqrt(dx * dx + dy * dy + 0.7 * dz * dz);
      nearest = Math.min(nearest, distance - factor * (from + along * (to - from)));
    }
  }
  return nearest;
}

function ventricleAt(factor: number, side: number, y: number, z: number, softness: number): number {
  const third = ellipsoid(side, y - 6, z - 1, 2.2 * factor, 14, 9);
  let inside = third;
  if (side < 45 && Math.abs(y - 6) < 54 && Math.abs(z - 4) < 33) {
    const septum = side - 1.2;
    inside = Math.max(inside, Math.min(septum, -toVentricle(factor, side, y, z)));
  }
  return ramp(inside, softness);
}

// Draws what is bright after contrast agent: the sagittal sinus, vessels of the midline, the choroid plexus,
// veins of the surface.
function drawVessels(random: Random): Field {
  const vessels = emptyField(2);
  const jitter = () => 0.8 * (random.next() - 0.5);
  for (let y = -35; y <= 70; y += 1.5) {
    stamp(vessels, jitter(), y, 2.5 + 56 * Math.sqrt(1 - (y * y) / 5476), 1.8 + 0.015 * (y + 35));
  }
  const midline = [
    [-20, -10, -44, 8],
    [-44, 8, -34, 28],
    [-2, 10, 26, 10],
    [26, 10, 66, -2],
  ] as const;
  for (const [fromY, fromZ, toY, toZ] of midline) {
    for (let t = 0; t <= 1; t += 0.03) {
      stamp(
        vessels,
        jitter(),
        fromY + t * (toY - fromY),
        fromZ + t * (toZ - fromZ),
        1.4 + 0.5 * random.next(),
      );
    }
  }
  for (const side of [-1, 1]) stamp(vessels, side * (17 + 2 * random.next()), 27, 12, 2.4 + random.next());
  const veins = 5 + random.integer(6);
  for (let vein = 0; vein < veins; vein++) drawVein(random, vessels);
  return vessels;
}

// Draws a vein: a walk along the upper surface that turns a little at each step.
function drawVein(random: Random, vessels: Field): void {
  let x = (random.next() - 0.5) * 100;
  let y = (random.next() - 0.5) * 110;
  let dx = random.next() - 0.5;
  let dy = random.next() - 0.5;
  const depth = 0.86 + 0.1 * random.next();
  const length = 14 + random.integer(26);
  for (let i = 0; i < length; i++) {
    dx += 0.5 * (random.next() - 0.5);
    dy += 0.5 * (random.next() - 0.5);
    const norm = Math.sqrt(dx * dx + dy * dy) + 1e-3;
    x += (1.2 * dx) / norm;
    y += (1.2 * dy) / norm;
    const height = depth * depth - (x * x) / 4225 - (y * y) / 5476;
    if (height < 0.02) return;
    stamp(vessels, x, y, 4 + 57 * Math.sqrt(height), 1.1 + 0.4 * random.next());
  }
}

// Draws small spots in the white matter around the ventricles, as in old age: bright in FLAIR and T2, but no
// tumour.
function drawLesions(random: Random, ventricles: number): Field {
  const lesions = emptyField(2);
  const spots = 2 + random.integer(8);
  for (let spot = 0; spot < spots; spot++) {
    const side = random.next() < 0.5 ? -1 : 1;
    let x = 0;
    let y = 0;
    let z = 0;
    let distance = 0;
    do {
      x = 8 + 30 * random.next();
      y = -45 + 90 * random.next();
      z = 5 + 32 * random.next();
      distance = toVentricle(ventricles, x, y, z);
    } while (distance < 1.5 || distance > 14);
    const radius = 1.8 + 2.2 * random.next();
    stamp(lesions, side * x, y, z, radius);
    stamp(
      lesions,
      side * (x + radius * (random.next() - 0.5)),
      y + 1.6 * radius * (random.next() - 0.5),
      z,
      radius,
    );
  }
  return lesions;
}

// Returns the depth below an ellipsoid's surface, to first order (Quilez' bound): k(1-k)/|gradient|.
function ellipsoid(x: number, y: number, z: number, a: number, b: number, c: number): number {
  const u = x / a;
  const v = y / b;
  const w = z / c;
  const k = Math.sqrt(u * u + v * v + w * w);
  const slope = Math.sqrt((u * u) / (a * a) + (v * v) / (b * b) + (w * w) / (c * c));
  return slope > 0 ? (k * (1 - k)) / slope : Math.min(a, b, c);
}

// Returns the larger of two depths, with a fillet of radius k where they are equal.
function smoothMax(a: number, b: number, k: number): number {
  const h = Math.max(0, k - Math.abs(a - b)) / k;
  return Math.max(a, b) + 0.25 * h * h * k;
}
