/**
 * Builds the package: dist/ for bundlers and Node, dist/site/ for pages without a bundler.
 *
 * dist/site/ is whole: glissando-web.js, which is the decoder; glissando-img.js, its worker, what both share, and in ort/ what they need of onnxruntime-web.
 */

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
process.chdir(here);
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."], { stdio: "inherit" });

const ort = { "onnxruntime-web/wasm": "./ort/ort.wasm.min.mjs", "onnxruntime-web/webgpu": "./ort/ort.webgpu.min.mjs" };
await build({
  entryPoints: {
    "glissando-web": "src/browser.ts",
    "glissando-img": "src/img.ts",
    "glissando-worker": "src/glissando-worker.ts",
  },
  outdir: "dist/site",
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
  plugins: [
    {
      name: "onnxruntime-web beside the script",
      setup: ({ onResolve }) =>
        onResolve({ filter: /^onnxruntime-web/ }, ({ path }) => ({ path: ort[path], external: true })),
    },
  ],
});
mkdirSync("dist/site/ort", { recursive: true });
for (const name of [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
  "ort.webgpu.min.mjs",
  "ort-wasm-simd-threaded.asyncify.mjs",
  "ort-wasm-simd-threaded.asyncify.wasm",
]) {
  copyFileSync(`node_modules/onnxruntime-web/dist/${name}`, `dist/site/ort/${name}`);
}
