/** The panel: what stands in it is what is set. */

import { Settings } from "./settings.js";

const find = (id) => document.getElementById(id);

export const QUICK_EFFORT = 4;
const EFFORTS = {
  5: "Refines the picture: a few seconds.",
  6: "Refines the picture: about ten seconds for half a megapixel.",
  7: "Refines the picture: twenty seconds and more.",
};
const LONG = "Refines the picture: a minute and more, or as long as this service allows.";

const wordsOf = (effort) =>
  effort <= QUICK_EFFORT ? "The network alone: a fraction of a second." : (EFFORTS[effort] ?? LONG);

/** Connects inputs with settings. `dragging` tells whether a slider is being moved just now. */
export class Controls {
  constructor(settings) {
    this.settings = settings;
    this.dragging = false;
    for (const name of ["quality", "effort", "strength"]) this.#slider(name);
    for (const [id, name] of [["bits", "bits"], ["keep-size", "keep"]]) {
      find(id).addEventListener("change", ({ target }) => settings.set({ [name]: target.checked }));
    }
    find("format").addEventListener("change", ({ target }) => settings.set({ format: target.value }));
    for (const input of document.querySelectorAll("[name=tune]")) {
      input.addEventListener("change", () => settings.set({ tune: input.value }));
    }
    find("target").addEventListener("change", ({ target }) => {
      const valid = Settings.valid("target", target.value);
      target.setCustomValidity(valid ? "" : "A number of bytes, such as 20000 or 20 kB");
      target.reportValidity();
      if (valid) settings.set({ target: target.value.trim() });
    });
    find("panel").addEventListener("submit", (event) => event.preventDefault());
    settings.addEventListener("change", () => this.show());
    this.show();
  }

  /** A slider; while it moves, changes are tried quickly, and once more when it rests. */
  #slider(name) {
    const input = find(name);
    input.addEventListener("input", () => {
      this.dragging = true;
      this.settings.set({ [name]: Number(input.value), ...(name === "quality" && { target: "" }) });
    });
    input.addEventListener("change", () => {
      this.dragging = false;
      this.settings.dispatchEvent(new CustomEvent("change", { detail: new Set([name]) }));
    });
  }

  /** Fill in what there is to compare with; a format that there is not becomes the original. */
  offerFormats(formats, nameOf) {
    for (const format of formats) find("format").append(new Option(`${nameOf(format)} of as many bytes`, format));
    if (!formats.includes(this.settings.format)) this.settings.set({ format: "original" });
    this.show();
  }

  /** Allow no more effort than the service does. */
  limitEffort(most) {
    find("effort").max = most;
    this.settings.set({ effort: Math.min(this.settings.effort, most) });
  }

  show() {
    const { settings } = this;
    for (const name of ["quality", "effort", "strength"]) {
      find(name).value = settings[name];
      find(`${name}-shown`).value = settings[name];
    }
    find("quality-shown").value = settings.target ? `${settings.quality.toFixed(1)}, by size` : settings.quality;
    if (document.activeElement !== find("target") || !settings.target) find("target").value = settings.target;
    find("effort-help").textContent = wordsOf(settings.effort);
    find("bits").checked = settings.bits;
    find("keep-size").checked = settings.keep;
    find("keep-size").disabled = Boolean(settings.target);
    find("format").value = settings.format;
    document.querySelector(`[name=tune][value=${settings.tune}]`).checked = true;
    for (const button of document.querySelectorAll(".sample")) {
      button.setAttribute("aria-pressed", button.dataset.sample === settings.sample);
    }
  }
}
