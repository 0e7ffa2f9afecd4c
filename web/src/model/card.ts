/** A model as the web has it: a folder named by its hash, which `glissando models --web DIR` writes. */

import { hex } from "../container/header.js";
import { ModelMismatchError, UnsupportedError } from "../errors.js";
import { sha256 } from "./sha256.js";

export const CARD = "card.json";
/** Families whose files this package decodes. */
const FAMILIES = ["gains"];

/** What `card.json` says. */
export interface Card {
  readonly name: string;
  readonly hash: string;
  readonly family: string;
  /** Cells around a window that its pixels depend on. */
  readonly halo: number;
  /** The beginning of the SHA-256 of each file, 16 hex digits, by the file's name. */
  readonly files: Readonly<Record<string, string>>;
}

/** The card in these bytes. Raises ModelMismatchError where it is none or another model's, UnsupportedError. */
export function readCard(data: Uint8Array, hash: string): Card {
  let card: Card;
  try {
    card = JSON.parse(new TextDecoder().decode(data)) as Card;
  } catch {
    throw new ModelMismatchError(`model ${hash}: its ${CARD} is no JSON`);
  }
  if (typeof card?.name !== "string" || typeof card.files !== "object" || card.hash !== hash) {
    throw new ModelMismatchError(`model ${hash}: its ${CARD} is not that of this model`);
  }
  if (!FAMILIES.includes(card.family)) {
    throw new UnsupportedError(
      `the file was made with model ${card.name} of the family "${card.family}", ` +
        `which cannot be decoded here; only the family "${FAMILIES.join('", "')}" can`,
    );
  }
  if (!Number.isInteger(card.halo) || card.halo < 1 || card.halo > 64) {
    throw new ModelMismatchError(`model ${card.name}: its halo is ${card.halo}`);
  }
  return card;
}

/** Raises ModelMismatchError unless a file has the checksum that its card says. */
export function checkFile(card: Card, name: string, data: Uint8Array): void {
  const expected = card.files[name];
  const found = hex(sha256(data).subarray(0, 8));
  if (found !== expected) {
    throw new ModelMismatchError(`model ${card.name}: ${name} has the hash ${found}, the card says ${expected}`);
  }
}
