/**
 * Measures decoding in Node by WebAssembly, warm, and the size of the code: `npm run bench -- FILE.gliss …`
 *
 * Each number of threads is measured in a process of its own, since an engine keeps its threads.
 */

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { openDecoder, readHeader } from "glissando-web";
import { webModels } from "./test/golden.mjs";

const REPEATS = 9;
const EXTENSIONS = ["sse4_1", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"];

const [first, ...rest] = process.argv.slice(2);
if (first === "--child") await measure(Number(rest[0]), rest[1], rest.slice(2));
else if (first === undefined) console.error("usage: npm run bench -- FILE.gliss …");
else report([first, ...rest]);

function report(files) {
  const info = readFileSync("/proc/cpuinfo", "utf8").match(/^flags.*$/m)?.[0].split(/\s+/) ?? [];
  const found = EXTENSIONS.filter((name) => info.includes(name));
  console.log(`${cpus()[0].model}, ${cpus().length} cores; ${found.join(" ")}; Node ${process.version}\n`);
  console.log("| file | pixels | bytes | threads | milliseconds | of which symbols | processor time | first |");
  console.log("|---|---|---:|---:|---:|---:|---:|---:|");
  const models = webModels();
  for (const threads of [1, 2]) {
    const self = fileURLToPath(import.meta.url);
    process.stdout.write(execFileSync(process.execPath, [self, "--child", threads, models, ...files]));
  }
  rmSync(models, { recursive: true });
  const site = new URL("dist/site/", import.meta.url);
  const scripts = readdirSync(site).filter((name) => name.endsWith(".js"));
  const code = Buffer.concat(scripts.map((name) => readFileSync(new URL(name, site))));
  const sizes = [gzipSync(code, { level: 9 }), brotliCompressSync(code)].map((packed) => (packed.length / 1000).toFixed(1));
  console.log(`\ncode: ${(code.length / 1000).toFixed(1)} kB, ${sizes[0]} kB by gzip, ${sizes[1]} kB by Brotli`);
  const wasm = readdirSync(new URL("dist/site/ort/", import.meta.url)).filter((name) => name.endsWith("threaded.wasm"));
  for (const name of wasm) {
    const data = readFileSync(new URL(`dist/site/ort/${name}`, import.meta.url));
    console.log(`onnxruntime-web's ${name}: ${(gzipSync(data).length / 1e6).toFixed(1)} MB by gzip`);
  }
}

/** The median of a few runs, and what the first took, with the model to be fetched and compiled. */
async function measure(threads, models, files) {
  const decoder = openDecoder({ models, threads });
  for (const file of files) {
    const data = new Uint8Array(readFileSync(file));
    const { width, height, modelHash } = readHeader(data);
    let start = performance.now();
    await decoder.decode(data);
    const first = performance.now() - start;
    const { graph } = await decoder.model(modelHash);
    const run = graph.run.bind(graph);
    let networks = 0;
    graph.run = async (inputs) => {
      const before = performance.now();
      const result = await run(inputs);
      networks += performance.now() - before;
      return result;
    };
    const runs = [];
    for (let i = 0; i < REPEATS; i++) {
      networks = 0;
      start = performance.now();
      const used = process.cpuUsage();
      await decoder.decode(data);
      const time = performance.now() - start;
      const { user, system } = process.cpuUsage(used);
      runs.push({ time, rest: time - networks, processor: (user + system) / 1000 });
    }
    graph.run = run;
    const median = (of) => runs.map((each) => each[of]).toSorted((a, b) => a - b)[REPEATS >> 1].toFixed(0);
    const cells = [basename(file), `${width}×${height}`, data.length, threads, median("time"), median("rest")];
    console.log(`| ${[...cells, median("processor"), first.toFixed(0)].join(" | ")} |`);
  }
  await decoder.close();
  process.exit(); // an engine's threads would go on
}
