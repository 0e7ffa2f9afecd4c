/** The page: connects settings, picture, view, painting and results. */

import * as api from "./api.js";
import { Controls, QUICK_EFFORT } from "./controls.js";
import { decoderOf } from "./decoding.js";
import * as gestures from "./gestures.js";
import { Painting } from "./painting.js";
import { nameOf, Results } from "./results.js";
import { Settings } from "./settings.js";
import * as source from "./source.js";
import * as tools from "./tools.js";
import { Tries } from "./tries.js";
import { View } from "./view.js";

const find = (id) => document.getElementById(id);

const settings = new Settings();
const view = new View(find("stage"));
const painting = new Painting(view, find("brush"));
const results = new Results(view, settings);
let picture = null; // the file that is encoded
let offers = null;
let opening = null; // aborts what reads the picture before
let decode; // files to pixels
let linking; // the timer until the address bar has the settings

const tries = new Tries(wanted, (file, signal) => decode(file, signal), results);
results.quality = (quality) => settings.set({ quality });

/** What is to be tried now, or null while there is no picture. */
async function wanted() {
  if (!picture) return null;
  const effort = controls.dragging ? Math.min(settings.effort, QUICK_EFFORT) : settings.effort;
  const fields = { convert: true, tune: settings.tune, effort };
  if (settings.target) fields.target_size = settings.target;
  else fields.quality = settings.quality;
  const importance = await painting.file();
  if (importance) {
    Object.assign(fields, { importance, strength: settings.strength });
    if (settings.keep && !settings.target) fields.keep_size = true;
  }
  return { picture, fields, format: settings.format, bits: settings.bits, slow: effort > QUICK_EFFORT };
}

/** Work with another picture. `name`: the sample's, or "" for one's own. */
async function take(file, name = "") {
  opening?.abort();
  const mine = (opening = new AbortController());
  tries.stop();
  results.say(`Reading ${file.name} …`);
  try {
    await ready;
    const found = await source.read(file, offers, mine.signal);
    if (mine.signal.aborted) return;
    find("empty").hidden = true;
    find("name").textContent = `${file.name}, ${found.image.width} × ${found.image.height}`;
    settings.set({ sample: name });
    picture = found.file;
    view.begin(found.image.width, found.image.height);
    view.draw(view.ours, found.image); // until there is ours
    results.begin(found.image, file.name, file.size);
    brush.begin();
    tries.restart();
  } catch (error) {
    if (!mine.signal.aborted) results.problem(error);
  }
}

async function takeSample(name) {
  try {
    await take(await source.sample(name), name);
  } catch (error) {
    results.problem(error);
  }
}

function changed(names) {
  clearTimeout(linking);
  linking = setTimeout(() => history.replaceState(null, "", linkOf()), 300); // browsers allow only so many
  view.setBorder(settings.border / 100);
  if (names.has("format")) results.beginOther();
  if (names.has("bits") && !settings.bits) results.hideBits();
  // A quality that a target has led to, the border and the sample's name ask nothing of the encoder.
  const asked = [...names].filter((name) => !["border", "sample"].includes(name) && !(name === "quality" && settings.target));
  if (asked.length) tries.change();
}

async function savePng() {
  try {
    const { gliss, stem } = results; // another picture may come meanwhile
    const url = URL.createObjectURL(await api.decode(gliss));
    Object.assign(document.createElement("a"), { href: url, download: `${stem}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    results.problem(error);
  }
}

const linkOf = () => new URL(`#${settings.fragment}`, location.href).href;

async function copyLink() {
  try {
    await navigator.clipboard.writeText(linkOf());
    results.say("The link is copied.");
  } catch {
    results.say("This browser does not let the page copy; the link stands in its address bar.");
  }
}

settings.restore(location.hash.slice(1));
const controls = new Controls(settings);
const brush = tools.listen(painting, (words, wrong) => results.say(words, wrong));
view.setBorder(settings.border / 100);
gestures.listen(view, painting, (border) => settings.set({ border }));
view.addEventListener("moved", () => (find("zoom").value = `${Math.round(100 * view.scale)} %`));
painting.addEventListener("change", () => tries.change());
settings.addEventListener("change", ({ detail }) => changed(detail));
for (const [id, act] of Object.entries({
  smaller: () => view.zoomBy(-1),
  larger: () => view.zoomBy(1),
  fit: () => view.fit(),
  whole: () => view.zoomTo(1),
  "save-png": savePng,
  link: copyLink,
})) find(id).addEventListener("click", act);

/** What the service has to say of itself, before it is asked for anything else. */
const ready = (async () => {
  offers = await api.offers();
  controls.limitEffort(offers.max_effort);
  decode = await decoderOf(offers);
})();

results.beginOther();
source.listen(view.stage, take);
for (const button of document.querySelectorAll(".sample")) {
  button.addEventListener("click", () => takeSample(button.dataset.sample));
}
window.addEventListener("hashchange", () => {
  const before = settings.sample;
  settings.restore(location.hash.slice(1));
  if (settings.sample !== before && source.isSample(settings.sample)) takeSample(settings.sample);
});
if (source.isSample(settings.sample)) takeSample(settings.sample);
ready.catch((error) => results.problem(error));
api.formats().then((formats) => controls.offerFormats(formats, nameOf), (error) => results.problem(error));
