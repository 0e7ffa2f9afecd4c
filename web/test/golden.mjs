/** The repository's golden files and models, as tests need them. */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const GOLDEN = join(ROOT, "tests", "golden");
const ZOO = join(ROOT, "src", "glissando", "zoo");

export function golden(name) {
  return new Uint8Array(readFileSync(join(GOLDEN, name)));
}

/** A folder of models as `glissando models --web DIR` writes it (a test in Python compares them). */
export function webModels(folder = mkdtempSync(join(tmpdir(), "glissando-models-"))) {
  for (const name of readdirSync(ZOO)) {
    const path = join(ZOO, name, "card.json");
    if (!existsSync(path)) continue;
    const { hash, family, summary, licence } = JSON.parse(readFileSync(path, "utf8"));
    const contents = {};
    if (family === "gains") {
      for (const file of ["integers.npz", "decoder.npz"]) contents[file] = readFileSync(join(ZOO, name, file));
      contents["decode.onnx"] = gunzipSync(readFileSync(join(ZOO, name, "decode.onnx.gz")));
    }
    const files = {};
    mkdirSync(join(folder, hash), { recursive: true });
    for (const [file, content] of Object.entries(contents)) {
      files[file] = createHash("sha256").update(content).digest("hex").slice(0, 16);
      writeFileSync(join(folder, hash, file), content);
    }
    const halo = family === "gains" ? 2 : 1;
    writeFileSync(join(folder, hash, "card.json"), JSON.stringify({ name, hash, family, summary, licence, halo, files }));
  }
  return folder;
}

/** Multiplies and adds modulo 2^32 (Numerical Recipes); the upper 16 bits are given out. As synthetic_model.py. */
export class Lcg {
  constructor(seed) {
    this.state = seed;
  }

  below(n) {
    this.state = (Math.imul(1664525, this.state) + 1013904223) >>> 0;
    return (this.state >>> 16) % n;
  }
}

/** The integers of the small model of tests/golden/synthetic_model.py. */
export function syntheticIntegers() {
  const random = new Lcg(2024);
  const between = (low, high, shape) => {
    const size = shape.reduce((product, side) => product * side, 1);
    return { shape, values: Int32Array.from({ length: size }, () => low + random.below(high - low + 1)) };
  };
  const [latents, hyper, levels, width] = [8, 4, 3, 4];
  const arrays = new Map();
  const radii = [];
  const frequencies = [];
  for (const family of [0, 1]) {
    for (let t = 0; t < 96; t++) {
      const radius = Math.floor((t * t) / (400 + 100 * family));
      radii.push(radius);
      frequencies.push(...triangle(radius, family));
    }
  }
  arrays.set("frequencies", { shape: [frequencies.length], values: frequencies });
  arrays.set("radii", { shape: [radii.length], values: radii });
  arrays.set("first_table", { shape: [2], values: [9, 14] });
  arrays.set("gain", between(-256, 1024, [levels, latents]));
  arrays.set("inverse_gain", between(-1024, 256, [levels, latents]));
  arrays.set("scale_offset", between(-2600, 600, [levels, latents]));
  arrays.set("hyper_gain", between(-600, 600, [levels, hyper]));
  arrays.set("hyper_scale", between(-1100, 500, [levels, hyper]));
  const shapes = {
    z_mix: [width, hyper, 3, 3],
    z_up: [4 * width, width, 1, 1],
    mid_mix: [width, width, 3, 3],
    mid_up: [4 * width, width, 1, 1],
    first_out: [latents, width, 1, 1],
    near: [latents, 1, 5, 5],
    second_mix: [width, 2 * latents, 1, 1],
    second_out: [latents, width, 1, 1],
  };
  for (const [name, shape] of Object.entries(shapes)) {
    const largest = name === "near" ? 3 : 60;
    arrays.set(`scales.${name}.weight`, between(-largest, largest, shape));
    arrays.set(`scales.${name}.bias`, between(-20, 2000, shape.slice(0, 1)));
  }
  return arrays;
}

function triangle(radius, family) {
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) => (1 + family) * (radius + 1) - Math.abs(i - radius));
  const sum = weights.reduce((a, b) => a + b, 0);
  const rest = 2 ** 24 - weights.length - 2048;
  const counts = [...weights.map((weight) => 1 + Math.floor((rest * weight) / sum)), 2048];
  counts[radius] += 2 ** 24 - counts.reduce((a, b) => a + b, 0);
  return counts;
}
