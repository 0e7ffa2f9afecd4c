/** Planes coarse to fine: what is known around each sample when its turn comes (docs/format.md, "Planes", "Stages"). */

/** The distance of the samples that are known from the start. */
export const GRID = 32;
/** Kinds of stages, each with its own weights. */
export const KINDS = 9;

type Lattice = "known" | "centres" | "below";
type Neighbour = readonly [Lattice, number, number];

/** What a stage codes: where its samples begin in a square of two by two, and which neighbours it looks at. */
interface Pattern {
  readonly row: 0 | 1;
  readonly column: 0 | 1;
  /** Two pairs of nearest neighbours. */
  readonly near: readonly Neighbour[];
  readonly far: readonly Neighbour[];
}

function around(lattice: Lattice, rows: readonly number[], columns: readonly number[]): Neighbour[] {
  return rows.flatMap((row) => columns.map((column): Neighbour => [lattice, row, column]));
}

/** Rows down and columns to the right, in multiples of the stage's distance. */
const PATTERNS: readonly Pattern[] = [
  {
    row: 1,
    column: 1,
    near: [["known", -1, -1], ["known", 1, 1], ["known", -1, 1], ["known", 1, -1]],
    far: [...around("known", [-1, 1], [-3, 3]), ...around("known", [-3, 3], [-1, 1])],
  },
  {
    row: 1,
    column: 0,
    near: [["known", -1, 0], ["known", 1, 0], ["centres", 0, -1], ["centres", 0, 1]],
    far: [...around("known", [-1, 1], [-2, 2]), ...around("centres", [-2, 2], [-1, 1])],
  },
  {
    row: 0,
    column: 1,
    near: [["centres", -1, 0], ["centres", 1, 0], ["known", 0, -1], ["known", 0, 1]],
    far: around("below", [-1, 1], [-1, 1]),
  },
];

const CORNERS: Readonly<Record<Lattice, readonly [number, number]>> = {
  known: [0, 0],
  centres: [1, 1],
  below: [1, 0],
};

/** One plane: samples less 2^(depth − 1) and the magnitudes of their errors, and at the end a 0 for what is not there. */
export interface Plane {
  readonly samples: Int32Array;
  readonly errors: Int32Array;
}

export function newPlane(height: number, width: number): Plane {
  return { samples: new Int32Array(height * width + 1), errors: new Int32Array(height * width + 1) };
}

/** Samples of all planes that are coded side by side. */
export class Stage {
  /** Which weights they use. */
  readonly kind: number;
  /** Where the samples lie in a plane. */
  readonly places: Int32Array;

  constructor(
    private readonly height: number,
    private readonly width: number,
    private readonly distance: number,
    private readonly pattern: Pattern,
    number: number,
  ) {
    this.kind = number + 3 * Math.min(Math.log2(distance), 2);
    const step = 2 * distance;
    const rows = Math.ceil((height - pattern.row * distance) / step);
    const columns = Math.ceil((width - pattern.column * distance) / step);
    this.rows = Math.max(rows, 0);
    this.columns = Math.max(columns, 0);
    this.places = this.placesOf(["known", 0, 0], false);
  }

  readonly rows: number;
  readonly columns: number;

  /**
   * What known neighbours say of a plane's samples: the sums of the nearest along two directions and that of farther
   * ones, and as magnitudes the differences of the nearest, that between the directions, and the errors of the nearest.
   */
  look(plane: Plane): Features {
    const { samples, errors } = plane;
    const count = this.places.length;
    const features = newFeatures(count);
    const near = this.pattern.near.map((neighbour) => this.placesOf(neighbour, true));
    const [first, second, third, fourth] = near as [Int32Array, Int32Array, Int32Array, Int32Array];
    const { one, other, far, along, across, error } = features;
    for (let i = 0; i < count; i++) {
      const [p, q, r, s] = [first[i]!, second[i]!, third[i]!, fourth[i]!];
      const [a, b, c, d] = [samples[p]!, samples[q]!, samples[r]!, samples[s]!];
      one[i] = a + b;
      other[i] = c + d;
      along[i] = Math.abs(a - b) + Math.abs(c - d);
      across[i] = Math.abs(a + b - c - d);
      error[i] = errors[p]! + errors[q]! + errors[r]! + errors[s]!;
    }
    for (const neighbour of this.pattern.far) {
      const places = this.placesOf(neighbour, true);
      for (let i = 0; i < count; i++) far[i]! += samples[places[i]!]!;
    }
    return features;
  }

  /** Where each sample's neighbour lies; outside the plane it is the nearest of its lattice, of an empty one the 0. */
  private placesOf([lattice, down, right]: Neighbour, clamps: boolean): Int32Array {
    const { height, width, distance, pattern, rows, columns } = this;
    const places = new Int32Array(rows * columns);
    const [cornerRow, cornerColumn] = clamps ? CORNERS[lattice] : [0, 0];
    const [least, first] = [cornerRow * distance, cornerColumn * distance];
    if (clamps && (least >= height || first >= width)) return places.fill(height * width);
    const lastRow = clamps ? least + Math.floor((height - 1 - least) / (2 * distance)) * 2 * distance : height - 1;
    const lastColumn = clamps ? first + Math.floor((width - 1 - first) / (2 * distance)) * 2 * distance : width - 1;
    const alongRow = new Int32Array(columns);
    for (let j = 0; j < columns; j++) {
      const column = (pattern.column + 2 * j + right) * distance;
      alongRow[j] = clamps ? Math.max(first, Math.min(lastColumn, column)) : column;
    }
    for (let i = 0; i < rows; i++) {
      const row = (pattern.row + 2 * i + down) * distance;
      const start = (clamps ? Math.max(least, Math.min(lastRow, row)) : row) * width;
      for (let j = 0; j < columns; j++) places[i * columns + j] = start + alongRow[j]!;
    }
    return places;
  }
}

export interface Features {
  readonly one: Int32Array;
  readonly other: Int32Array;
  readonly far: Int32Array;
  readonly along: Int32Array;
  readonly across: Int32Array;
  readonly error: Int32Array;
}

function newFeatures(count: number): Features {
  const array = (): Int32Array => new Int32Array(count);
  return { one: array(), other: array(), far: array(), along: array(), across: array(), error: array() };
}

/** The stages of planes in their order, but empty ones. */
export function* stages(height: number, width: number): Generator<Stage> {
  for (let distance = GRID / 2; distance >= 1; distance /= 2) {
    for (const [number, pattern] of PATTERNS.entries()) {
      const stage = new Stage(height, width, distance, pattern, number);
      if (stage.places.length > 0) yield stage;
    }
  }
}
