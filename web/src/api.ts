/** What both platforms export. */

export { DEFAULT_LIMITS, readHeader } from "./container/header.js";
export type { Alpha, Header, Limits, PixelFormat } from "./container/header.js";
export type { Input } from "./container/source.js";
export { Decoder } from "./decoder.js";
export type { DecodeOptions, Platform } from "./decoder.js";
export type { Engine, Ort, Provider } from "./engine.js";
export * from "./errors.js";
export { ModelStore } from "./model/store.js";
export type { FileCache } from "./model/store.js";
export { Picture } from "./picture.js";
