/** Bytes to symbols: what must be exact on every machine. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inflateRawSync, deflateRawSync } from "node:zlib";
import { crc32, crc32OfSymbols } from "../dist/container/crc32.js";
import { DEFAULT_LIMITS, readHeader } from "../dist/container/header.js";
import { Reader } from "../dist/container/reader.js";
import { Memory } from "../dist/container/source.js";
import { MANTISSAS } from "../dist/entropy/fixed-point.js";
import { decodeTile, ratesAt, SymbolModel } from "../dist/gains/symbols.js";
import { Grid } from "../dist/geometry.js";
import { inflated } from "../dist/inflate.js";
import { sha256 } from "../dist/model/sha256.js";
import { CorruptError } from "../dist/errors.js";
import { golden, Lcg, syntheticIntegers } from "./golden.mjs";

const hexOf = (value) => value.toString(16).padStart(8, "0");

test("the golden bytes of the format give exactly the golden symbols", async () => {
  const model = new SymbolModel(syntheticIntegers());
  const records = JSON.parse(Buffer.from(golden("format.json")).toString());
  assert.equal(records.length, 4);
  for (const { picture, file, tile_checksums, z, y } of records) {
    const reader = await Reader.open(new Memory(new Uint8Array(Buffer.from(file, "hex"))), DEFAULT_LIMITS);
    const { header } = reader;
    const format = { channels: picture[4] ? 1 : 3, depth: 8, alpha: "none" };
    assert.deepEqual([header.width, header.height, header.tileLog2, header.quality], picture.slice(0, 4));
    assert.deepEqual(header.format, format);
    const grid = new Grid(header.width, header.height, header.tileLog2);
    const wholeZ = new Int16Array(grid.rows * grid.columns * 4);
    const wholeY = new Int16Array(16 * grid.rows * grid.columns * 8);
    for (let number = 0; number < grid.tileCount; number++) {
      const area = grid.tile(number);
      const [height, width] = [area.bottom - area.top, area.right - area.left];
      const tile = await reader.tile(number);
      const place = { height, width, ...grid.coded(area) };
      const symbols = decodeTile(model, ratesAt(model, header.quality, [header.quality]), tile.streams, place);
      const crc = symbols.inOrder.reduce((before, part) => crc32OfSymbols(part, before), 0);
      assert.equal(hexOf(crc), tile_checksums[number]);
      assert.equal(crc, tile.checksum);
      for (let row = 0; row < height; row++) {
        const part = symbols.z.subarray(row * width * 4, (row + 1) * width * 4);
        wholeZ.set(part, ((area.top + row) * grid.columns + area.left) * 4);
      }
      for (let row = 0; row < place.rows; row++) {
        const part = symbols.y.subarray(row * place.columns * 8, (row + 1) * place.columns * 8);
        wholeY.set(part, ((4 * area.top + row) * 4 * grid.columns + 4 * area.left) * 8);
      }
    }
    assert.equal(hexOf(crc32OfSymbols(wholeZ)), z);
    assert.equal(hexOf(crc32OfSymbols(wholeY)), y);
  }
});

test("powers of two are those of exact integer roots", () => {
  for (let k = 0; k < 256; k++) {
    const [power, m] = [1n << BigInt(15 * 256 + k), BigInt(MANTISSAS[k])];
    assert.ok(m ** 256n <= power && power < (m + 1n) ** 256n, `k = ${k}`);
  }
});

test("checksums are those of Node", () => {
  const data = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) ^ (i >> 3));
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
  assert.equal(crc32(data.subarray(400), crc32(data.subarray(0, 400))), crc32(data));
  for (const size of [0, 1, 55, 56, 63, 64, 65, 1000]) {
    const expected = createHash("sha256").update(data.subarray(0, size)).digest();
    assert.deepEqual(Buffer.from(sha256(data.subarray(0, size))), expected);
  }
});

test("deflated bytes come back, and damaged ones are an error or other bytes of the same size", () => {
  const random = new Lcg(5);
  for (const size of [0, 1, 300, 70000]) {
    const data = Uint8Array.from({ length: size }, (_, i) => (i % 7 ? random.below(9) : random.below(256)));
    for (const options of [{ level: 9 }, { level: 0 }, { strategy: 4 }, { strategy: 2 }]) {
      const packed = new Uint8Array(deflateRawSync(data, options));
      assert.deepEqual(inflated(packed, size, "data"), data);
      assert.throws(() => inflated(packed, size + 1, "data"), CorruptError);
      assert.throws(() => inflated(packed.subarray(0, -1), size, "data"), CorruptError);
      assert.throws(() => inflated(Uint8Array.of(...packed, 0), size, "data"), CorruptError);
      if (size > 0) assert.throws(() => inflated(packed, size - 1, "data"), CorruptError);
      for (let i = 0; i < 30; i++) {
        const changed = packed.slice();
        changed[random.below(changed.length)] ^= 1 << random.below(8);
        let found;
        try {
          found = inflated(changed, size, "data");
        } catch (error) {
          assert.ok(error instanceof CorruptError, String(error));
          continue;
        }
        assert.deepEqual(found, new Uint8Array(inflateRawSync(changed)));
      }
    }
  }
});

test("a header says what the file is, and limits hold before anything is allocated", () => {
  const header = readHeader(golden("deep-corrected.gliss"));
  assert.deepEqual(header.format, { channels: 1, depth: 12, alpha: "straight" });
  assert.deepEqual([header.width, header.height, header.quality], [96, 80, 25600]);
  assert.deepEqual(header.streamIds, [1, 2, 5, 6]);
  const limits = { ...DEFAULT_LIMITS, maxPixels: 96 * 80 - 1 };
  assert.throws(() => readHeader(golden("medium-30.gliss"), limits), { name: "LimitError", message: /7680 pixels/ });
  const tiles = { ...DEFAULT_LIMITS, maxTiles: 13 };
  assert.throws(() => readHeader(golden("importance.gliss"), tiles), { name: "LimitError", message: /14 tiles/ });
});

test("windows cover a picture once, and see the halo around them", () => {
  for (const [width, height, early] of [[64, 64, false], [2200, 1900, false], [2200, 1900, true], [96, 7000, true], [5000, 100, false]]) {
    const grid = new Grid(width, height, 9);
    const covered = new Uint8Array(grid.rows * grid.columns);
    for (const { inner, outer } of grid.rowsOfWindows(24, 2, early).flat()) {
      assert.ok(inner.bottom - inner.top <= 28 && inner.right - inner.left <= 28);
      assert.equal(outer.top, Math.max(inner.top - 2, 0));
      assert.equal(outer.left, Math.max(inner.left - 2, 0));
      assert.equal(outer.bottom, Math.min(inner.bottom + 2, grid.rows));
      assert.equal(outer.right, Math.min(inner.right + 2, grid.columns));
      for (let row = inner.top; row < inner.bottom; row++) {
        for (let column = inner.left; column < inner.right; column++) covered[row * grid.columns + column]++;
      }
    }
    assert.ok(covered.every((times) => times === 1));
  }
});
