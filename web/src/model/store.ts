/** Where models are found: in folders named by their hash, whose files are fetched once and cached by their checksum. */

import { ModelMismatchError } from "../errors.js";
import { CARD, checkFile, readCard, type Card } from "./card.js";

/** A place for files that never change. */
export interface FileCache {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, data: Uint8Array): Promise<void>;
}

export class ModelStore {
  /**
   * `fetchFile`: gets a file by its path, HASH/NAME, from where the models are; it raises UnknownModelError where there
   * is none. `cache`: where files are kept, if anywhere.
   */
  constructor(
    private readonly fetchFile: (path: string) => Promise<Uint8Array>,
    private readonly cache?: FileCache,
  ) {}

  /** A model's card. Raises UnknownModelError, ModelMismatchError, UnsupportedError. */
  async card(hash: string): Promise<Card> {
    return readCard(await this.fetchFile(`${hash}/${CARD}`), hash);
  }

  /** One of a model's files. Raises ModelMismatchError where it is not what the card says. */
  async file(card: Card, name: string): Promise<Uint8Array> {
    const checksum = card.files[name];
    if (checksum === undefined) throw new ModelMismatchError(`model ${card.name}: its card has no ${name}`);
    const key = `${card.hash}/${checksum}-${name}`;
    const kept = await this.cache?.get(key);
    if (kept !== undefined) {
      try {
        checkFile(card, name, kept);
        return kept;
      } catch {
        // What is damaged is fetched anew.
      }
    }
    const data = await this.fetchFile(`${card.hash}/${name}`);
    checkFile(card, name, data);
    await this.cache?.put(key, data);
    return data;
  }
}

