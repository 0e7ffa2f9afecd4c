/** What the page and its worker tell each other. Each picture has a number, which its messages carry. */

import type { DecoderOptions } from "./browser.js";

export type ToWorker =
  | { readonly kind: "open"; readonly options: DecoderOptions }
  | { readonly kind: "load"; readonly id: number; readonly url: string }
  | { readonly kind: "stop"; readonly id: number };

export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "start"; readonly id: number; readonly width: number; readonly height: number }
  | { readonly kind: "rows"; readonly id: number; readonly rgba: ArrayBuffer; readonly top: number; readonly bottom: number }
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly name: string; readonly message: string };
