/** The order in which the positions of a map are coded coarse to fine (docs/format.md, "Maps"). */

/** Every `step`-th position of a grid, both ways, from `row` and `column` on. */
interface Lattice {
  readonly row: number;
  readonly column: number;
  readonly step: number;
}

/** Positions that are coded side by side. */
export interface Stage {
  readonly lattices: readonly Lattice[];
  /** How far the neighbours are; 0 at the corner, which has none. */
  readonly distance: number;
  /** Whether the neighbours are left, right, above and below, not at the corners of a square. */
  readonly between: boolean;
}

/** The stages of a grid in their order; together they have each position once. */
export function* stages(rows: number, columns: number): Generator<Stage> {
  let step = 1;
  while (step < Math.max(rows, columns)) step *= 2;
  yield { lattices: [{ row: 0, column: 0, step }], distance: 0, between: false };
  for (; step > 1; step /= 2) {
    const half = step / 2;
    if (half < Math.min(rows, columns)) {
      yield { lattices: [{ row: half, column: half, step }], distance: half, between: false };
    }
    const lattices: Lattice[] = [];
    if (half < rows) lattices.push({ row: half, column: 0, step });
    if (half < columns) lattices.push({ row: 0, column: half, step });
    yield { lattices, distance: half, between: true };
  }
}

/** Row and column of each position of a stage, one after the other. */
export function* positions(stage: Stage, rows: number, columns: number): Generator<readonly [number, number]> {
  for (const { row, column, step } of stage.lattices) {
    for (let r = row; r < rows; r += step) {
      for (let c = column; c < columns; c += step) yield [r, c];
    }
  }
}
