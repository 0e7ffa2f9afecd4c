/** Files to pixels in Node: within a level of the golden pixels, whatever arrives how; and errors for everything else. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as glissando from "glissando-web";
import { golden, Lcg, webModels } from "./golden.mjs";
import { readPng } from "./png.mjs";

const models = webModels();
const decoder = glissando.openDecoder({ models, threads: 1 });
after(() => decoder.close());

/** The picture's samples as those of a PNG file, whose samples have 8 or 16 bits. */
function levels(picture) {
  const { depth } = picture.format;
  const factor = depth > 8 ? 65535 / picture.white : 1;
  return Array.from(picture.data, (sample) => Math.round(sample * factor));
}

const NAMES = {
  corrected: 1,
  exact: 0,
  importance: 1,
  lossless: 0,
  "medium-30": 1,
  "medium-80": 1,
  "medium-msssim-30": 1,
  "medium-msssim-80": 1,
  "medium-psnr-30": 1,
  "medium-psnr-80": 1,
  noise: 0,
  transparent: 1,
  "transparent-steps": 1,
  // Of 16 and 12 bits: a quarter of an 8-bit level, and a level of 12 bits.
  deep: 64,
  "deep-corrected": 16,
  "deep-lossless": 0,
};

for (const [name, most] of Object.entries(NAMES)) {
  test(`${name} has the golden pixels`, async () => {
    const picture = await decoder.decode(golden(`${name}.gliss`));
    const expected = readPng(Buffer.from(golden(`${name}.png`)));
    assert.deepEqual([picture.width, picture.height, picture.channels], [expected.width, expected.height, expected.channels]);
    const found = levels(picture);
    assert.equal(found.length, expected.data.length);
    const off = found.map((sample, i) => Math.abs(sample - expected.data[i]));
    assert.ok(Math.max(...off) <= most, `off by ${Math.max(...off)}`);
    const share = off.filter((error) => error > 0).length / off.length;
    assert.ok(share < (name === "deep" ? 0.2 : 0.01), `${share} of the samples differ`);
  });
}

test("every golden file is decoded or names the family that is not", async () => {
  const files = readdirSync(new URL("../../tests/golden/", import.meta.url)).filter((file) => file.endsWith(".gliss"));
  for (const file of files.map((name) => name.replace(/\.gliss$/, "")).filter((name) => !(name in NAMES))) {
    const family = file.startsWith("vae") ? /vae/ : /content/;
    await assert.rejects(decoder.decode(golden(`${file}.gliss`)), { name: "UnsupportedError", message: family });
  }
});

test("metadata come along", async () => {
  const data = Buffer.from(JSON.parse(Buffer.from(golden("format.json")).toString())[1].file, "hex");
  const header = glissando.readHeader(new Uint8Array(data));
  assert.deepEqual([...header.boxes.keys()], ["icc "]);
});

/** A stream that gives some bytes at a time. */
function arriving(data, size) {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= data.length) controller.close();
      else controller.enqueue(data.slice(at, (at += size)));
    },
  });
}

test("rows are shown as they arrive, in small windows, and are those of the whole", async () => {
  const data = golden("importance.gliss");
  const whole = await decoder.decode(data);
  const seen = [];
  const picture = await decoder.decode(arriving(data, 50), {
    onRows: (part, top, bottom) => seen.push([top, bottom, part.toRGBA(top, bottom).length]),
  });
  assert.deepEqual(seen.map(([top, bottom]) => [top, bottom]), [[0, 128], [128, 256], [256, 384], [384, 400]]);
  assert.ok(seen.every(([top, bottom, size]) => size === (bottom - top) * 96 * 4));
  const off = picture.data.map((sample, i) => Math.abs(sample - whole.data[i]));
  assert.ok(Math.max(...off) <= 1);
  assert.ok(off.filter((error) => error > 0).length < 0.01 * off.length);
});

test("bytes, buffers, blobs, responses and streams are read alike", async () => {
  const data = golden("lossless.gliss");
  const expected = (await decoder.decode(data)).data;
  for (const input of [data.buffer.slice(data.byteOffset, data.byteOffset + data.length), new Blob([data]), new Response(data), arriving(data, 7)]) {
    assert.deepEqual((await decoder.decode(input)).data, expected);
  }
  await assert.rejects(decoder.decode("lossless.gliss"), glissando.InputError);
});

test("opacity and grey become what a canvas takes", async () => {
  const picture = await decoder.decode(golden("transparent.gliss"));
  const rgba = picture.toRGBA();
  assert.deepEqual(rgba, Uint8ClampedArray.from(picture.data));
  const grey = (await decoder.decode(golden("noise.gliss"))).toRGBA();
  assert.equal(grey.length, 30 * 40 * 4);
  assert.ok(grey.every((sample, i) => i % 4 === 3 || sample === grey[i - (i % 4)]));
});

test("whatever is cut off is an error", async () => {
  for (const name of ["noise", "exact", "importance"]) {
    const data = golden(`${name}.gliss`);
    for (let length = 0; length < data.length; length += 1 + (length >> 3)) {
      await assert.rejects(decoder.decode(data.slice(0, length)), { name: /TruncatedError|SignatureError/ });
    }
    await assert.rejects(decoder.decode(arriving(data.slice(0, -1), 64)), glissando.FormatError);
    await assert.rejects(decoder.decode(Uint8Array.of(...data, 0)), glissando.CorruptError);
    await assert.rejects(decoder.decode(arriving(Uint8Array.of(...data, 0), 64)), glissando.CorruptError);
  }
});

test("every changed bit is an error, soon", async () => {
  const random = new Lcg(11);
  for (const name of ["medium-30", "importance", "transparent", "lossless", "deep-lossless", "noise", "exact"]) {
    const data = golden(`${name}.gliss`);
    for (let i = 0; i < 25; i++) {
      const changed = data.slice();
      changed[random.below(changed.length)] ^= 1 << random.below(8);
      const start = performance.now();
      await assert.rejects(decoder.decode(changed), glissando.GlissandoError);
      assert.ok(performance.now() - start < 5000);
    }
  }
});

test("planes whose checksums were made to fit are still checked", async () => {
  // Checksums do not keep strangers out: here they are computed anew for damaged planes.
  const random = new Lcg(3);
  let refused = 0;
  for (const name of ["lossless", "exact", "noise", "deep-lossless", "transparent-steps"]) {
    const data = golden(`${name}.gliss`);
    const { offsets, streamIds } = glissando.readHeader(data);
    const stream = streamIds.indexOf(4) >= 0 ? streamIds.indexOf(4) : streamIds.indexOf(6);
    for (let i = 0; i < 40; i++) {
      const part = data.slice(offsets[stream], offsets[stream + 1]);
      part[Math.floor(random.below(part.length) / (i % 2 ? 8 : 1))] ^= 1 << random.below(8);
      const { decodePlanes } = await import("../dist/lossless/planes.js");
      const depth = name.startsWith("deep") ? 16 : 8;
      try {
        const colours = name === "noise" ? 1 : 3;
        decodePlanes(part, colours, name === "noise" ? 40 : 80, name === "noise" ? 30 : 96, depth);
      } catch (error) {
        assert.ok(error instanceof glissando.FormatError, String(error.stack));
        refused++;
      }
    }
  }
  assert.ok(refused > 100);
});

test("decoding can be stopped", async () => {
  const controller = new AbortController();
  const decoding = decoder.decode(golden("importance.gliss"), {
    signal: controller.signal,
    onRows: () => controller.abort(new Error("enough")),
  });
  controller.abort(new Error("enough"));
  await assert.rejects(decoding, { message: "enough" });
});

test("a model that is not there, or damaged, is an error, and once it is mended it is found", async () => {
  const file = golden("medium-30.gliss");
  const hash = glissando.readHeader(file).modelHash;
  const folder = mkdtempSync(join(tmpdir(), "glissando-models-"));
  const other = glissando.openDecoder({ models: folder, threads: 1 });
  await assert.rejects(other.decode(file), { name: "UnknownModelError", message: new RegExp(hash) });
  cpSync(join(models, hash), join(folder, hash), { recursive: true });
  const weights = readFileSync(join(folder, hash, "decoder.npz"));
  weights[5000] ^= 1;
  writeFileSync(join(folder, hash, "decoder.npz"), weights);
  await assert.rejects(other.decode(file), { name: "ModelMismatchError", message: /decoder\.npz/ });
  cpSync(join(models, hash), join(folder, hash), { recursive: true });
  assert.equal((await other.decode(file)).width, 96);
  await other.close();
});

test("where an engine does not open a model another takes its place", async () => {
  const asked = [];
  const store = new glissando.ModelStore(async (path) => new Uint8Array(readFileSync(join(models, path))));
  const ort = await import("onnxruntime-web");
  const platform = {
    store,
    engine: async () => {
      asked.push("webgpu");
      throw new glissando.BackendError("no adapter");
    },
    fallback: async () => {
      asked.push("wasm");
      return { ort, provider: "wasm" };
    },
  };
  const other = new glissando.Decoder(platform);
  assert.equal((await other.decode(golden("medium-30.gliss"))).width, 96);
  assert.deepEqual(asked, ["webgpu", "wasm"]);
  await other.close();
  const { fallback: _, ...alone } = platform;
  await assert.rejects(new glissando.Decoder(alone).decode(golden("medium-30.gliss")), glissando.BackendError);
});

test("models are fetched once, and a damaged copy is fetched anew", async (t) => {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url.split("/").at(-1));
    try {
      response.end(readFileSync(join(models, request.url)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const cache = mkdtempSync(join(tmpdir(), "glissando-cache-"));
  const url = `http://127.0.0.1:${server.address().port}`;
  const file = golden("medium-30.gliss");
  const hash = glissando.readHeader(file).modelHash;
  const decodes = async () => {
    asked.length = 0;
    const fresh = glissando.openDecoder({ models: url, cache, threads: 1 });
    await fresh.decode(file);
    await fresh.decode(file);
    await fresh.close();
    return asked.toSorted();
  };
  assert.deepEqual(await decodes(), ["card.json", "decode.onnx", "decoder.npz", "integers.npz"]);
  assert.deepEqual(await decodes(), ["card.json"]);
  const kept = readdirSync(join(cache, hash)).find((name) => name.endsWith("integers.npz"));
  writeFileSync(join(cache, hash, kept), "damaged");
  assert.deepEqual(await decodes(), ["card.json", "integers.npz"]);
  const empty = glissando.openDecoder({ models: `${url}/elsewhere`, cache, threads: 1 });
  await assert.rejects(empty.decode(file), glissando.UnknownModelError);
});
