// Recordings that were given to the page, one after the other to the server.

import { Refused, inWords, stopped, transcribed } from "./api.js";
import { $, make, takeFiles } from "./dom.js";
import { peopleAsked } from "./people.js";
import { open, opened } from "./reader.js";
import { recorder } from "./recorder.js";
import { Transcript } from "./transcript.js";
import { call, say, t, time } from "./words.js";

const TRIES = 60; // times that a recording is sent to a server that is busy

let jobs = [];

class Job {
  constructor(file, transcript = null) {
    this.file = file;
    this.name = file.name;
    this.transcript = transcript;
    this.stop = new AbortController();
    this.title = make("button", { type: "button", class: "title" }, this.name);
    this.title.addEventListener("click", () => this.show());
    this.state = make("output", { class: "soft" });
    this.bar = make("progress", { max: 1 });
    call(this.bar, "progress", { name: this.name });
    this.partial = make("p", { class: "partial", lang: "zh" });
    this.again = make("button", { type: "button", class: "quiet", hidden: "", onclick: () => this.retry() });
    say(this.again, "again");
    this.end = make("button", { type: "button", class: "quiet", onclick: () => this.remove() }, "✕");
    call(this.end, "remove", { name: this.name });
    this.row = make("li", {}, make("div", { class: "row" }, this.title, this.state, make("span", { class: "push" }), this.again, this.end),
      this.bar, this.partial);
    if (transcript) this.finished();
    else this.queue();
  }

  // Asks for what the fields say now.
  queue() {
    this.asked = { words: $("words").value, speakers: peopleAsked() };
    this.done = this.failed = false;
    this.row.className = "";
    this.bar.hidden = true;
    this.again.hidden = true;
    this.title.disabled = true;
    say(this.state, "waiting_here");
  }

  async work() {
    this.working = true;
    this.bar.hidden = false;
    this.bar.removeAttribute("value");
    try {
      const answer = await this.answer();
      this.transcript = Transcript.ofAnswer(this.name, answer);
      this.finished();
    } catch (error) {
      this.failed = true;
      this.row.className = "failed";
      this.again.hidden = false;
      this.bar.hidden = true;
      say(this.state, "");
      this.state.textContent = stopped(error) ? t("stopped") : inWords(error);
    }
    this.working = false;
    this.partial.replaceChildren();
  }

  async answer() {
    if (this.asked.speakers === null) throw new Refused(t("people_wrong"));
    const length = await lengthOf(this.file);
    for (let tried = 1; ; tried += 1) {
      try {
        return await transcribed(this.file, this.asked, (news) => this.told(news, length), this.stop.signal);
      } catch (error) {
        if (error.status !== 429 || tried === TRIES) throw error;
        const seconds = Math.min(30, Math.max(1, error.after));
        say(this.state, "busy", { seconds });
        await pause(seconds, this.stop.signal);
      }
    }
  }

  told({ sent, text, end }, length) {
    if (sent !== undefined && sent < 1) {
      this.bar.value = sent;
      say(this.state, "sending", { percent: Math.floor(100 * sent) });
    } else if (sent !== undefined) {
      this.bar.removeAttribute("value");
      say(this.state, "waiting");
    } else {
      this.partial.append(text);
      this.partial.scrollTop = this.partial.scrollHeight;
      if (length) this.bar.value = Math.min(1, (end ?? 0) / length);
      if (end !== undefined) say(this.state, length ? "hearing_of" : "hearing", { time: time(end), length: time(length) });
    }
  }

  finished() {
    this.done = true;
    this.bar.hidden = true;
    this.again.hidden = true;
    this.title.disabled = false;
    this.row.className = "done";
    this.changed();
    if (!opened()) this.show();
  }

  // After an edit.
  changed() {
    const characters = [...this.transcript.text.replace(/[\p{P}\s]/gu, "")].length;
    say(this.state, this.transcript.edited ? "edited" : this.transcript.original ? "done" : "nothing", { characters });
  }

  show() {
    open(this);
    for (const job of jobs) job.title.toggleAttribute("aria-current", job === this);
  }

  retry() {
    this.stop = new AbortController();
    this.queue();
    next();
  }

  remove() {
    const place = jobs.indexOf(this);
    this.stop.abort();
    this.row.remove();
    jobs = jobs.filter((job) => job !== this);
    if (opened() === this) {
      open(null);
      jobs.find((job) => job.done)?.show();
    }
    (jobs[Math.min(place, jobs.length - 1)]?.end ?? $("files")).focus();
  }
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")), { once: true });
});

// Seconds of a recording as far as the browser can tell; 0 where it cannot.
function lengthOf(file) {
  return new Promise((resolve) => {
    const audio = new Audio();
    const tell = () => {
      URL.revokeObjectURL(audio.src);
      resolve(Number.isFinite(audio.duration) ? audio.duration : 0);
    };
    audio.onloadedmetadata = audio.onerror = tell;
    setTimeout(tell, 5000);
    audio.preload = "metadata";
    audio.src = URL.createObjectURL(file);
  });
}

let working = false;

async function next() {
  if (working) return;
  working = true;
  let job;
  while ((job = jobs.find(({ done, failed }) => !done && !failed))) await job.work();
  working = false;
}

function add(files) {
  for (const file of files) enter(new Job(file));
  next();
}

function enter(job) {
  jobs.push(job);
  $("jobs").append(job.row);
}

// A text that is there already, with its sound.
export function present(file, transcript) {
  const job = new Job(file, transcript);
  enter(job);
  job.show();
}

const unsaved = () => jobs.some((job) => job.working || job.transcript?.edited || job.transcript?.named);

takeFiles($("drop"), $("files"), add);
recorder($("record"), $("level"), (file) => add([file]));
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });
