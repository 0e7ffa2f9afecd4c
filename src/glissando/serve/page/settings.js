/** The settings of the page, which a link carries in its fragment. */

const DEFAULTS = {
  sample: "", // the name of a sample, or "" for a picture of one's own
  quality: 60,
  target: "", // bytes, as the service takes them, or "" where the quality counts
  tune: "eye",
  effort: 4,
  format: "original", // what lies beside ours
  strength: 24,
  keep: true, // the size, with an importance
  bits: false, // whether it is shown where they go
  border: 50, // per cent of the width
};

const VALID = {
  sample: (value) => /^[a-z]*$/.test(value),
  quality: (value) => value >= 0 && value <= 100,
  target: (value) => /^\s*([0-9.]{1,20}\s*[A-Za-z]{0,3})?\s*$/.test(value),
  tune: (value) => value === "eye" || value === "psnr",
  effort: (value) => Number.isInteger(value) && value >= 0 && value <= 10,
  format: (value) => /^[a-z0-9]+$/.test(value),
  strength: (value) => value >= 1 && value <= 60,
  keep: () => true,
  bits: () => true,
  border: (value) => value >= 0 && value <= 100,
};

/** What is set. Dispatches "change" with `detail`, the set of names whose values are new. */
export class Settings extends EventTarget {
  constructor() {
    super();
    Object.assign(this, DEFAULTS);
  }

  /** Whether a value can be that of a setting. */
  static valid(name, value) {
    return Object.hasOwn(VALID, name) && VALID[name](value);
  }

  set(values) {
    const changed = new Set(Object.keys(values).filter((name) => this[name] !== values[name]));
    Object.assign(this, values);
    if (changed.size) this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }

  /** The fragment of a link; what is as usual is left out. */
  get fragment() {
    const parameters = new URLSearchParams();
    for (const [name, usual] of Object.entries(DEFAULTS)) {
      if (this[name] !== usual) parameters.set(name, String(this[name]));
    }
    return parameters.toString();
  }

  /** Take the settings of a fragment; what it does not name becomes as usual, what cannot be used is left out. */
  restore(fragment) {
    const values = { ...DEFAULTS };
    for (const [name, text] of new URLSearchParams(fragment)) {
      if (!Object.hasOwn(DEFAULTS, name) || text === "") continue;
      const kind = typeof DEFAULTS[name];
      const value = kind === "number" ? Number(text) : kind === "boolean" ? text === "true" : text;
      if (Settings.valid(name, value)) values[name] = value;
    }
    this.set(values);
  }
}
