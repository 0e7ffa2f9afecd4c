/** PNG files as the golden ones are: 8 or 16 bits, grey or colours, with or without opacity, not interlaced. */

import { inflateSync } from "node:zlib";

const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };

/** { width, height, channels, depth, data }, with data of (height, width, channels). */
export function readPng(file) {
  let at = 8;
  let header;
  let palette;
  const parts = [];
  while (at < file.length) {
    const size = file.readUInt32BE(at);
    const kind = file.toString("latin1", at + 4, at + 8);
    const content = file.subarray(at + 8, at + 8 + size);
    if (kind === "IHDR") header = content;
    if (kind === "PLTE") palette = content;
    if (kind === "IDAT") parts.push(content);
    at += 12 + size;
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [bits, colour] = [header[8], header[9]];
  const indexed = colour === 3;
  const channels = indexed ? 1 : CHANNELS[colour];
  const pixel = Math.max(1, (bits * channels) >> 3);
  const line = Math.ceil((width * bits * channels) / 8);
  const raw = inflateSync(Buffer.concat(parts));
  const rows = unfiltered(raw, height, line, pixel);
  const outChannels = indexed ? 3 : channels;
  const data = bits === 16 ? new Uint16Array(width * height * channels) : new Uint8Array(width * height * outChannels);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < width * channels; i++) {
      const to = y * width * outChannels;
      if (bits === 16) data[y * width * channels + i] = rows[y].readUInt16BE(2 * i);
      else if (!indexed) data[to + i] = bits === 8 ? rows[y][i] : sub(rows[y], i, bits) * (255 / (2 ** bits - 1));
      else for (let c = 0; c < 3; c++) data[to + 3 * i + c] = palette[3 * sub(rows[y], i, bits) + c];
    }
  }
  return { width, height, channels: outChannels, depth: bits === 16 ? 16 : 8, data };
}

function sub(row, i, bits) {
  const at = i * bits;
  return (row[at >> 3] >> (8 - bits - (at & 7))) & (2 ** bits - 1);
}

function unfiltered(raw, height, line, pixel) {
  const rows = [];
  let above = Buffer.alloc(line);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (line + 1)];
    const row = Buffer.from(raw.subarray(y * (line + 1) + 1, (y + 1) * (line + 1)));
    for (let i = 0; i < line; i++) {
      const a = i < pixel ? 0 : row[i - pixel];
      const b = above[i];
      const c = i < pixel ? 0 : above[i - pixel];
      row[i] += [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
    }
    rows.push(row);
    above = row;
  }
  return rows;
}

function paeth(a, b, c) {
  const [x, y, z] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return x <= y && x <= z ? a : y <= z ? b : c;
}
