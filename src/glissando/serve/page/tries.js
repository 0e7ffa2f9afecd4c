/** The order of requests after a change: the newest settings win, and what nobody waits for any more is given up. */

import * as api from "./api.js";

const QUICK = 700; // milliseconds that a try may go on to its first picture although there are newer settings
const SETTLE = 250; // … for which nothing has changed before slower questions are asked

/** Runs one try after the other. `now` gives what to try; `show` has a method for each result. */
export class Tries {
  constructor(now, decode, show) {
    Object.assign(this, { now, decode, show, running: null, waiting: false });
  }

  /** Something has changed; it is tried as soon as possible. */
  change() {
    this.waiting = true;
    const { running } = this;
    if (!running) return void this.#run();
    // A quick try ends with a picture and its scores, so that something is seen while a slider moves.
    if (running.slow || performance.now() - running.start > QUICK) running.abort.abort();
  }

  /** Another picture: what is going on is given up, and this one is tried. */
  restart() {
    this.stop();
    this.change();
  }

  /** Give up what is going on. */
  stop() {
    this.waiting = false;
    this.running?.abort.abort();
  }

  async #run() {
    while (this.waiting) {
      this.waiting = false;
      const abort = new AbortController();
      this.running = { abort, start: performance.now(), slow: false };
      try {
        const wanted = await this.now();
        if (wanted) {
          this.running.slow = wanted.slow;
          await this.#try(wanted, abort.signal);
        }
      } catch (error) {
        if (!abort.signal.aborted) this.show.problem(error);
      }
    }
    this.running = null;
  }

  async #try({ picture, fields, format, bits, slow }, signal) {
    this.show.busy(slow);
    // What comes although it was given up is not shown: the page may have another picture by then.
    const wanted = async (promise) => {
      const value = await promise;
      signal.throwIfAborted();
      return value;
    };
    const { file, notes, seconds } = await wanted(api.preview(picture, fields, signal));
    this.show.file(file, notes, seconds);
    // Both at once; where the service decodes with one worker, the picture comes first.
    const drawn = wanted(this.decode(file, signal)).then((image) => this.show.ours(image));
    const scored = wanted(api.scores(picture, file, signal)).then((found) => this.show.scores(found));
    await Promise.all([drawn, scored]);
    this.running.slow = true;
    if (this.waiting) return;
    if (fields.target_size) this.show.quality((await wanted(api.info(file, signal))).quality);
    await api.pause(SETTLE, signal);
    if (bits) {
      const { target_size: target, ...others } = fields;
      if (target) others.quality = (await api.info(file, signal)).quality;
      this.show.bits(await wanted(api.bits(picture, others, signal)));
    }
    if (format !== "original") await this.#compare(picture, format, file.size, signal, wanted);
    this.show.done();
  }

  async #compare(picture, format, bytes, signal, wanted) {
    this.show.comparing();
    try {
      const found = await api.compare(picture, format, bytes, signal);
      this.show.other(await wanted(createImageBitmap(found.picture)), found);
    } catch (error) {
      if (error.error !== "TargetError") throw error;
      this.show.other(null, { notes: [], problem: error.message });
    }
  }
}
