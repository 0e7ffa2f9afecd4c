/** Where cells, latents, tiles and windows lie in a picture. A cell is 64 by 64 pixels and has 4 by 4 latents. */

export const CELL = 64;
/** Latents of a cell, each way. */
export const PER_CELL = 4;
/** Pixels that a latent covers, each way. */
export const LATENT = CELL / PER_CELL;

/** A rectangle, in cells unless it is said otherwise. `bottom` and `right` are the first row and column beyond it. */
export interface Rectangle {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** A part of the grid that a network runs over, and the part of its result to keep. */
export interface Window {
  readonly outer: Rectangle;
  readonly inner: Rectangle;
}

export class Grid {
  /** Rows and columns of cells. */
  readonly rows: number;
  readonly columns: number;
  /** Cells of a tile's side. */
  readonly side: number;
  readonly tilesAcross: number;
  readonly tilesDown: number;

  constructor(
    readonly width: number,
    readonly height: number,
    tileLog2: number,
  ) {
    this.rows = Math.ceil(height / CELL);
    this.columns = Math.ceil(width / CELL);
    this.side = 2 ** tileLog2 / CELL;
    this.tilesAcross = Math.ceil(this.columns / this.side);
    this.tilesDown = Math.ceil(this.rows / this.side);
  }

  get tileCount(): number {
    return this.tilesAcross * this.tilesDown;
  }

  /** The cells of a tile, by its number in raster order. */
  tile(number: number): Rectangle {
    const top = Math.floor(number / this.tilesAcross) * this.side;
    const left = (number % this.tilesAcross) * this.side;
    return {
      top,
      left,
      bottom: Math.min(top + this.side, this.rows),
      right: Math.min(left + this.side, this.columns),
    };
  }

  /** The pixels of a tile that lie in the picture. */
  pixelsOf(number: number): Rectangle {
    const { top, left, bottom, right } = this.tile(number);
    return {
      top: CELL * top,
      left: CELL * left,
      bottom: Math.min(CELL * bottom, this.height),
      right: Math.min(CELL * right, this.width),
    };
  }

  /** How many rows and columns of a rectangle's latents begin in the picture. */
  coded(area: Rectangle): { rows: number; columns: number } {
    return {
      rows: Math.min(PER_CELL * (area.bottom - area.top), Math.ceil(this.height / LATENT) - PER_CELL * area.top),
      columns: Math.min(PER_CELL * (area.right - area.left), Math.ceil(this.width / LATENT) - PER_CELL * area.left),
    };
  }

  /** Numbers of the tiles that have cells in common with a rectangle, ascending. */
  tilesOver(area: Rectangle): number[] {
    const found: number[] = [];
    for (let row = Math.floor(area.top / this.side); row * this.side < area.bottom; row++) {
      for (let column = Math.floor(area.left / this.side); column * this.side < area.right; column++) {
        found.push(row * this.tilesAcross + column);
      }
    }
    return found;
  }

  /**
   * The windows that a network runs over, row by row: of at most `core` cells a side, each widened by `halo` cells.
   *
   * A side that fits into core + 2·halo cells is not cut, as this would add more halo than it saves. `early`: rows of
   * windows are rows of tiles, as few as the halo has cells, so that the first pixels need few tiles.
   */
  rowsOfWindows(core: number, halo: number, early = false): Window[][] {
    const few = Math.ceil(halo / this.side) * this.side;
    const down = early ? cuts(this.rows, Math.min(few, core), halo, true) : cuts(this.rows, core, halo);
    const right = cuts(this.columns, core, halo);
    return down.map(([top, bottom]) =>
      right.map(([left, end]) => ({
        inner: { top, left, bottom, right: end },
        outer: {
          top: Math.max(0, top - halo),
          left: Math.max(0, left - halo),
          bottom: Math.min(this.rows, bottom + halo),
          right: Math.min(this.columns, end + halo),
        },
      })),
    );
  }
}

/** A side in parts of at most `core` cells: about equal ones, or `whole` ones and what is left. */
function cuts(length: number, core: number, halo: number, whole = false): [number, number][] {
  if (length <= core + 2 * halo) return [[0, length]];
  const count = Math.ceil(length / core);
  const edge = (i: number): number => (whole ? Math.min(core * i, length) : Math.floor((length * i) / count));
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)]);
}
