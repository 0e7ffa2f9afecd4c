/** Bytes as text of as many characters, 0 to 255. (What browsers call latin1 is another code.) */
export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
