/** What became of a try, in figures and in words. */

const NAMES = { jpeg: "JPEG", webp: "WebP", avif: "AVIF", jxl: "JPEG XL", original: "the original" };

export const nameOf = (format) => NAMES[format] ?? format;
const count = (number) => number.toLocaleString("en");

const decimals = (number) => number.toFixed(2).replace("-", "−");

const find = (id) => document.getElementById(id);

function fill(row, figures) {
  for (const [name, text] of Object.entries(figures)) find(row).querySelector(`[data-of=${name}]`).textContent = text;
}

const scoresOf = ({ psnr, ssimulacra2 }) => ({
  psnr: psnr === null ? "∞" : decimals(psnr),
  ssimulacra2: ssimulacra2 === null ? "–" : decimals(ssimulacra2),
});

const EMPTY = { bytes: "–", bpp: "–", psnr: "–", ssimulacra2: "–" };

/** Shows results in the view, in the table, and in the line of status. */
export class Results {
  constructor(view, settings) {
    Object.assign(this, { view, settings, gliss: null, url: null, notes: [] });
  }

  /** A picture that nothing is known of yet. `bytes`: of the file that it came in. */
  begin(image, name, bytes) {
    Object.assign(this, { image, name, sourceBytes: bytes, gliss: null, notes: [] });
    find("save-gliss").removeAttribute("href");
    find("save-gliss").setAttribute("aria-disabled", "true");
    find("save-png").disabled = true;
    fill("row-ours", EMPTY);
    this.beginOther();
    this.say(`${name}: ${image.width} × ${image.height} pixels. Encoding …`);
  }

  /** Another format was chosen. */
  beginOther() {
    const { format } = this.settings;
    const original = format === "original";
    find("row-other").querySelector("th").textContent = original ? "Original" : nameOf(format);
    fill("row-other", original && this.image ? { ...EMPTY, ...this.#size(this.sourceBytes) } : EMPTY);
    find("encoder").textContent = "";
    this.missing = "";
    if (!this.image) return;
    this.view.label("right", original ? "Original" : `${nameOf(format)} …`);
    this.view.draw(this.view.other, original ? this.image : null);
  }

  #size(bytes) {
    return { bytes: count(bytes), bpp: ((8 * bytes) / (this.image.width * this.image.height)).toFixed(3) };
  }

  busy(slow) {
    if (slow) this.say("Encoding; at this effort it takes a while …");
    this.view.stage.setAttribute("aria-busy", "true");
  }

  file(file, notes, seconds) {
    Object.assign(this, { gliss: file, notes, seconds });
    fill("row-ours", this.#size(file.size));
    this.view.label("left", `Glissando, ${count(file.size)} bytes`);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(file);
    const link = find("save-gliss");
    Object.assign(link, { href: this.url, download: `${this.stem}.gliss` });
    link.removeAttribute("aria-disabled");
    find("save-png").disabled = false;
  }

  get stem() {
    return this.name.replace(/\.[^.]*$/, "");
  }

  ours(image) {
    this.view.draw(this.view.ours, image);
  }

  scores(found) {
    fill("row-ours", scoresOf(found));
  }

  bits(found) {
    this.view.showBits(found);
    find("legend").hidden = false;
    find("top").textContent = `${found.top.toFixed(2)} bits per pixel`;
  }

  hideBits() {
    this.view.showBits(null);
    find("legend").hidden = true;
  }

  comparing() {
    this.view.label("right", `${nameOf(this.settings.format)} …`);
  }

  other(image, found) {
    const name = nameOf(this.settings.format);
    this.view.draw(this.view.other, image);
    if (!image) {
      fill("row-other", EMPTY);
      this.view.label("right", `${name}: not that small`);
      this.missing = found.problem;
      find("encoder").textContent = found.problem;
      return;
    }
    this.missing = "";
    fill("row-other", { ...this.#size(found.bytes), ...scoresOf(found) });
    this.view.label("right", `${name}, ${count(found.bytes)} bytes`);
    find("encoder").textContent = [`${found.encoder}, quality ${found.setting}; ${found.version}.`, ...found.notes].join(" ");
  }

  done() {
    this.view.stage.removeAttribute("aria-busy");
    const figures = (row) => [...find(row).querySelectorAll("[data-of]")].map((cell) => cell.textContent);
    const words = ([bytes, bpp, psnr, points]) => `${bytes} bytes, ${bpp} bits per pixel, PSNR ${psnr} dB, SSIMULACRA 2 ${points}`;
    const { format } = this.settings;
    const other = format === "original" || this.missing ? "" : ` ${nameOf(format)}: ${words(figures("row-other"))}.`;
    find("figures").textContent = `Glissando: ${words(figures("row-ours"))}.${other}`; // for who does not see the table
    const notes = this.notes.map((note) => `Note: ${note}.`);
    this.say([`Encoded in ${this.seconds.toFixed(2)} s.`, this.missing && `${this.missing}.`, ...notes].filter(Boolean).join(" "));
  }

  problem(error) {
    this.view.stage.removeAttribute("aria-busy");
    this.say(error.message, true);
  }

  say(words, wrong = false) {
    find("status").textContent = words;
    find("status").classList.toggle("wrong", wrong);
  }
}
