/** CRC-32 as PNG and zlib have it: reflected polynomial EDB88320, initial value and final XOR FFFFFFFF. */

const TABLE = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  TABLE[byte] = value;
}

/** The CRC of bytes that follow others whose CRC is `before`; 0 … 2^32 − 1. */
export function crc32(data: Uint8Array, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < data.length; i++) crc = TABLE[(crc ^ data[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The CRC of symbols, each as a little-endian int16, that follow bytes whose CRC is `before`. */
export function crc32OfSymbols(symbols: Int16Array, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]!;
    crc = TABLE[(crc ^ symbol) & 255]! ^ (crc >>> 8);
    crc = TABLE[(crc ^ (symbol >> 8)) & 255]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
