/** Where pictures come from: the file dialogue, dropping, pasting, samples, and links. */

import { asset, decode, original } from "./api.js";

const SAMPLES = { parrots: "samples/parrots.jpg", chart: "samples/chart.png" };

export const isSample = (name) => Object.hasOwn(SAMPLES, name);

export async function sample(name) {
  const path = SAMPLES[name];
  return new File([await asset(path)], path.split("/").pop());
}

/** Call `take` with each file that somebody opens, drops or pastes. */
export function listen(stage, take) {
  const input = document.getElementById("file");
  document.getElementById("open").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = ""; // so that the same file can be opened again
  });
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    stage.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) stage.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    stage.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files[0]);
  });
}

/**
 * A file as the page works with it: `file`, which the service encodes, and `image`, its pixels.
 *
 * A .gliss file is decoded first. The service reads what this browser does not.
 */
export async function read(file, offers, signal) {
  if (file.size > offers.max_bytes) {
    throw new Error(`The file has ${file.size.toLocaleString("en")} bytes; this service takes ${offers.max_bytes.toLocaleString("en")} at most.`);
  }
  let readable = file;
  if (file.name.endsWith(".gliss")) {
    readable = new File([await decode(file, signal)], file.name.replace(/\.gliss$/, ".png"));
    return { file: readable, image: await createImageBitmap(readable) };
  }
  try {
    return { file, image: await createImageBitmap(file) };
  } catch {
    return { file, image: await createImageBitmap(await original(file, signal)) };
  }
}
