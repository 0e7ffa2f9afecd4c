/** The same files in headless Chromium, by the page's script. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";
import { golden, GOLDEN, webModels } from "./golden.mjs";
import { readPng } from "./png.mjs";

const SITE = fileURLToPath(new URL("../dist/site/", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** A browser that is installed here; undefined where there is none. */
function chromium() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // The next one.
    }
  }
  return undefined;
}

const executablePath = chromium();
const skip = executablePath === undefined ? "no Chromium is installed" : false;

let browser;
let server;
let origin;
const asked = [];
/** Files that wait in the middle until this is called, by their path. */
const waiting = new Map();

before(async () => {
  if (skip) return;
  const models = webModels();
  server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    asked.push(pathname);
    const headers = {};
    if (searchParams.get("isolated") || pathname.startsWith("/site/")) {
      headers["cross-origin-opener-policy"] = "same-origin";
      headers["cross-origin-embedder-policy"] = "require-corp";
    }
    if (pathname === "/page") {
      response.writeHead(200, { "content-type": "text/html", ...headers });
      response.end(`<!doctype html><meta name="glissando-models" content="/models/">
        <script type="module" src="${searchParams.get("script") ?? "/site/glissando-img.js"}"></script>${searchParams.get("body") ?? ""}`);
      return;
    }
    const [, place, ...rest] = pathname.split("/");
    const path = join({ site: SITE, "without-worker": SITE, models, golden: GOLDEN }[place] ?? "/nowhere", ...rest);
    if (!existsSync(path) || pathname === "/without-worker/glissando-worker.js") {
      response.writeHead(404).end();
      return;
    }
    const data = readFileSync(path);
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream", ...headers });
    if (searchParams.get("wait")) {
      const most = Math.floor(0.8 * data.length);
      response.write(data.subarray(0, most));
      await new Promise((resolve) => waiting.set(pathname, resolve));
      response.end(data.subarray(most));
      return;
    }
    response.end(data);
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  origin = `http://localhost:${server.address().port}`;
  browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
});

after(async () => {
  await browser?.close();
  server?.close();
  server?.closeAllConnections();
});

async function open(body, isolated = false) {
  const page = await browser.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.goto(`${origin}/page?${new URLSearchParams({ body, ...(isolated ? { isolated: "1" } : {}) })}`);
  return page;
}

/** RGBA of a golden picture, as a canvas gives it back. */
function expected(name) {
  const { channels, data, depth } = readPng(Buffer.from(golden(`${name}.png`)));
  const rgba = [];
  for (let i = 0; i < data.length; i += channels) {
    const colours = channels < 3 ? [data[i], data[i], data[i]] : [data[i], data[i + 1], data[i + 2]];
    rgba.push(...colours, channels % 2 === 0 ? data[i + channels - 1] : depth > 8 ? 65535 : 255);
  }
  return depth > 8 ? rgba.map((sample) => Math.round(sample / 257)) : rgba;
}

function compare(found, name, most) {
  const wanted = expected(name);
  assert.equal(found.length, wanted.length);
  const off = found.reduce((largest, sample, i) => Math.max(largest, Math.abs(sample - wanted[i])), 0);
  assert.ok(off <= most, `${name} is off by ${off}`);
}

for (const isolated of [true, false]) {
  test(`golden files have the golden pixels ${isolated ? "with threads" : "without threads"}`, { skip }, async () => {
    const page = await open("", isolated);
    const decode = (name) =>
      page.evaluate(async (file) => {
        const { openDecoder } = await import("/site/glissando-img.js");
        globalThis.decoder ??= openDecoder({ models: "/models/", wasmPaths: "/site/ort/", threads: 2 });
        const picture = await globalThis.decoder.decode(await fetch(`/golden/${file}.gliss`));
        return { isolated: crossOriginIsolated, rgba: Array.from(picture.toRGBA()) };
      }, name);
    const names = isolated
      ? ["medium-80"]
      : ["medium-30", "importance", "exact", "lossless", "transparent-steps", "deep", "deep-lossless", "corrected", "noise"];
    for (const name of names) {
      const result = await decode(name);
      assert.equal(result.isolated, isolated);
      compare(result.rgba, name, ["exact", "lossless", "deep-lossless", "noise"].includes(name) ? 0 : 1);
    }
    await assert.rejects(decode("vae-30"), /the family "vae"/);
    assert.deepEqual(page.errors, []);
    await page.close();
  });
}

test("models are fetched once for all pages, and nothing is asked of other servers", { skip }, async () => {
  asked.length = 0;
  const page = await browser.newPage();
  const hosts = new Set();
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  await page.goto(`${origin}/page?${new URLSearchParams({ body: '<img-gliss src="/golden/medium-30.gliss"></img-gliss>' })}`);
  await page.waitForFunction(() => document.querySelector("img-gliss")?.complete);
  assert.deepEqual([...hosts].filter((host) => host !== "" && host !== new URL(origin).host), []);
  assert.ok(asked.some((path) => path.endsWith("card.json")));
  assert.ok(!asked.some((path) => path.endsWith("decoder.npz")), "the page before has fetched it");
  await page.close();
});

test("an element shows what has arrived, has a size and a text, and tells when it is done", { skip }, async () => {
  const page = await open("<p></p>");
  await page.evaluate(() => {
    globalThis.events = [];
    const element = document.createElement("img-gliss");
    for (const name of ["progress", "load", "error"]) {
      element.addEventListener(name, (event) => globalThis.events.push([name, event.message ?? event.loaded ?? 0]));
    }
    element.alt = "a scene";
    element.src = "/golden/importance.gliss?wait=1";
    document.body.append(element);
  });
  await page.waitForFunction(() => globalThis.events.length > 0);
  const half = await page.evaluate(() => {
    const element = document.querySelector("img-gliss");
    const canvas = element.shadowRoot.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, 96, 400);
    const drawn = data.findLastIndex((sample) => sample > 0);
    const { role, ariaLabel } = canvas;
    return { events: globalThis.events, drawn, complete: element.complete, role, ariaLabel, size: [element.naturalWidth, element.naturalHeight] };
  });
  assert.ok(half.drawn > 0 && half.drawn < 96 * 400 * 4 - 1, "some of the picture is shown before the rest arrives");
  assert.equal(half.complete, false, JSON.stringify(half.events));
  assert.deepEqual([half.role, half.ariaLabel, half.size], ["img", "a scene", [96, 400]]);
  assert.ok(page.workers().some((worker) => worker.url().endsWith("glissando-worker.js")));
  waiting.get("/golden/importance.gliss")();
  await page.waitForFunction(() => document.querySelector("img-gliss").complete);
  const { events, rgba } = await page.evaluate(() => {
    const canvas = document.querySelector("img-gliss").shadowRoot.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, 96, 400);
    return { events: globalThis.events, rgba: Array.from(data) };
  });
  assert.deepEqual(events.at(-1), ["load", 0]);
  assert.deepEqual(events.at(-2), ["progress", 400]);
  compare(rgba, "importance", 1);
  await page.close();
});

test("an element that cannot show its picture says why, and shows what is inside it", { skip }, async () => {
  const page = await open("<p></p>");
  const result = await page.evaluate(async () => {
    const element = document.createElement("img-gliss");
    element.innerHTML = "<b>instead</b>";
    const told = [];
    for (const src of ["/golden/medium-30.png", "/golden/missing.gliss", "/golden/content-weighted-30.gliss"]) {
      const failed = new Promise((resolve) => element.addEventListener("error", resolve, { once: true }));
      element.src = src;
      document.body.append(element);
      const { error } = await failed;
      told.push(error.name);
    }
    const height = element.querySelector("b").offsetHeight;
    const loaded = new Promise((resolve) => element.addEventListener("load", resolve, { once: true }));
    element.src = "/golden/noise.gliss";
    await loaded;
    return { told, height, hidden: element.querySelector("b").offsetHeight, width: element.offsetWidth };
  });
  assert.deepEqual(result.told, ["SignatureError", "InputError", "UnsupportedError"]);
  assert.ok(result.height > 0);
  assert.equal(result.hidden, 0);
  assert.equal(result.width, 30);
  await page.close();
});

test("images with our files as their source get the pictures, those that come later, too", { skip }, async () => {
  const page = await open('<img id="first" src="/golden/exact.gliss" alt="a drawing"><img id="png" src="/golden/exact.png">');
  const pixels = (id) =>
    page.evaluate(async (which) => {
      const image = document.getElementById(which);
      await image.decode();
      const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
    }, id);
  const arrived = (id) =>
    page.waitForFunction((which) => document.getElementById(which)?.src.startsWith("blob:"), {}, id);
  await arrived("first");
  compare(await pixels("first"), "exact", 0);
  assert.equal(await page.$eval("#first", (image) => image.dataset.glissSrc), "/golden/exact.gliss");
  await page.evaluate(() => {
    document.body.insertAdjacentHTML("beforeend", '<div><img id="later" src="/golden/lossless.gliss"></div>');
    document.getElementById("png").src = "/golden/noise.gliss";
  });
  await arrived("later");
  compare(await pixels("later"), "lossless", 0);
  await arrived("png");
  const failed = await page.evaluate(
    () =>
      new Promise((resolve) => {
        document.addEventListener("gliss-error", ({ target, detail }) => resolve([target.id, detail.name]));
        document.getElementById("first").src = "/golden/vae-30.gliss";
      }),
  );
  assert.deepEqual(failed, ["first", "UnsupportedError"]);
  assert.deepEqual(page.errors, []);
  await page.close();
});

test("a page without a worker decodes by itself", { skip }, async () => {
  const page = await browser.newPage();
  const body = '<img-gliss src="/golden/noise.gliss"></img-gliss><img-gliss src="/golden/medium-30.gliss"></img-gliss>';
  await page.goto(`${origin}/page?${new URLSearchParams({ script: "/without-worker/glissando-img.js", body })}`);
  await page.waitForFunction(() => [...document.querySelectorAll("img-gliss")].every(({ complete }) => complete));
  for (const [i, name] of ["noise", "medium-30"].entries()) {
    const rgba = await page.evaluate((which) => {
      const canvas = document.querySelectorAll("img-gliss")[which].shadowRoot.querySelector("canvas");
      return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
    }, i);
    if (name === "medium-30") compare(rgba, name, 1);
    else assert.equal(rgba.length, 30 * 40 * 4);
  }
  await page.close();
});

const slow = skip || (process.env.GLISSANDO_WEBGPU ? false : "a processor that imitates a graphics processor takes a minute; GLISSANDO_WEBGPU=1 runs it");

test("WebGPU gives the golden pixels", { skip: slow }, async () => {
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
  const other = await puppeteer.launch({ executablePath, args: [...args, "--enable-features=Vulkan"], protocolTimeout: 250_000 });
  const page = await other.newPage();
  await page.goto(`${origin}/page`);
  const { provider, rgba } = await page.evaluate(async () => {
    const { openDecoder, readHeader } = await import("/site/glissando-img.js");
    const decoder = openDecoder({ models: "/models/", wasmPaths: "/site/ort/", engine: "webgpu" });
    const data = new Uint8Array(await (await fetch("/golden/medium-80.gliss")).arrayBuffer());
    const picture = await decoder.decode(data);
    const { graph } = await decoder.model(readHeader(data).modelHash);
    return { provider: graph.provider, rgba: Array.from(picture.toRGBA()) };
  });
  assert.equal(provider, "webgpu");
  compare(rgba, "medium-80", 1);
  await other.close();
});
