/** The one script of a page: defines `<img-gliss>`, and makes `<img src="x.gliss">` work. */

import { ImgGliss } from "./element.js";
import { watch } from "./images.js";

export * from "./browser.js";
export { ImgGliss };

customElements.define("img-gliss", ImgGliss);
watch(document);
