/** What the page asks of the service. */

/** A request that the service refused, in its own words. `error` is the name of its exception. */
export class Problem extends Error {
  constructor(message, status = 0, error = "") {
    super(message);
    this.status = status;
    this.error = error;
  }
}

const RETRIES = 4;

async function ask(path, options = {}) {
  for (let attempt = 0; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("The service cannot be reached.");
    }
    if (answer.ok) return answer;
    if (answer.status === 429 && attempt < RETRIES) {
      await pause(1000 * Math.min(Number(answer.headers.get("Retry-After")) || 1, 10), options.signal);
      continue;
    }
    throw await problemOf(answer);
  }
}

async function problemOf(answer) {
  const found = await answer.json().catch(() => ({}));
  const detail = found.detail ?? found.title ?? `The service answered ${answer.status}.`;
  return new Problem(detail[0].toUpperCase() + detail.slice(1), answer.status, found.error);
}

/** Wait, unless the signal is aborted meanwhile: then it rejects with the signal's reason. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function form(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  return body;
}

const about = (answer) => JSON.parse(answer.headers.get("Glissando-About"));
const notes = (answer) => JSON.parse(answer.headers.get("Glissando-Notes") ?? "[]");

/** The formats that there are to compare with. */
export async function formats() {
  return Object.keys(await (await ask("compare")).json());
}

/** The service's limits, and whether a decoder for browsers lies beside the page. */
export async function offers() {
  return (await ask("offers")).json();
}

/** The .gliss file of a picture, and the seconds that its coding took; `fields` are parameters and perhaps the file of an importance. */
export async function preview(picture, fields, signal) {
  const answer = await ask("preview", { method: "POST", body: form({ picture, ...fields }), signal });
  const [, milliseconds] = answer.headers.get("Server-Timing").match(/dur=([\d.]+)/);
  return { file: await answer.blob(), notes: notes(answer), seconds: milliseconds / 1000 };
}

/** Where the bits go: a small picture, and what it means. */
export async function bits(picture, fields, signal) {
  const answer = await ask("bits", { method: "POST", body: form({ picture, ...fields }), signal });
  return { picture: await answer.blob(), ...about(answer) };
}

export async function scores(picture, file, signal) {
  return (await ask("scores", { method: "POST", body: form({ picture, file }), signal })).json();
}

export async function info(file, signal) {
  return (await ask("info", { method: "POST", body: file, signal })).json();
}

/** A file's picture, as PNG. */
export async function decode(file, signal) {
  return (await ask("decode", { method: "POST", body: file, headers: { Accept: "image/png" }, signal })).blob();
}

/** A picture as the service reads it, as PNG. */
export async function original(picture, signal) {
  return (await ask("original", { method: "POST", body: picture, signal })).blob();
}

/** The picture in another format of at most so many bytes, and what became of it. */
export async function compare(picture, format, bytes, signal) {
  const query = new URLSearchParams({ format, bytes });
  const answer = await ask(`compare?${query}`, { method: "POST", body: picture, signal });
  return { picture: await answer.blob(), notes: notes(answer), ...about(answer) };
}

/** A file that lies beside the page. */
export async function asset(path) {
  return (await ask(path)).blob();
}
