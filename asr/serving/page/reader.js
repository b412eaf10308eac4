// The text of the recording that is open: read along, go to a character, edit lines, save.

import { inWords, rendered } from "./api.js";
import { compareWith } from "./errors.js";
import { $, make, save, withoutSuffix } from "./dom.js";
import { askForNames } from "./people.js";
import { Player } from "./player.js";
import { UNSURE, joined, parted } from "./transcript.js";
import { call, say, t, time } from "./words.js";

const NEXT = 0.01; // seconds: players round the time that they are sent to
const NEAR = 5; // lines in which the next one is looked for that holds a text
const SUFFIX = { text: "txt", verbose_json: "json", textgrid: "TextGrid" };
const KIND = { verbose_json: "application/json" };

let job = null;
let spans = []; // of all characters in order, each with its `token` and the number of its `line`
let spoken = null;
let place = 0; // of the character that the keyboard is at
const player = new Player(follow);

// Shows a recording's text; null: none.
export function open(opened) {
  if (job === opened) return;
  job = opened;
  $("reader").hidden = !job;
  if (!job) return player.close();
  $("reader-title").textContent = job.name;
  $("warnings").replaceChildren(...job.transcript.warnings.map((warning) => make("li", {}, warning)));
  say($("said"), "");
  player.open(job.file, job.transcript.duration);
  askForNames(job.transcript, callPeople);
  draw();
  compareWith(job);
}

export const opened = () => job;

function draw() {
  const { lines } = job.transcript;
  $("lines").replaceChildren(...lines.map((line, number) => lineOf(line, number)));
  collect();
}

function lineOf(line, number) {
  const start = line.tokens[0]?.start ?? line.start;
  const from = make("button", { type: "button", class: "from", tabindex: -1, onclick: () => player.go(start) }, time(start));
  call(from, "from", { time: time(start) });
  const text = make("p", { class: "line-text" });
  let before = "";
  for (const token of line.tokens) {
    const span = make("span", { class: token.confidence < UNSURE ? "token unsure" : "token" }, token.text);
    Object.assign(span, { token, line: number });
    text.append(parted(before, token.text) ? " " : "", span, token.mark);
    before = token.text + token.mark;
  }
  if (!line.tokens.length) text.append(make("span", { class: "soft", "data-t": "empty_line" }, t("empty_line")));
  const edit = make("button", { type: "button", class: "quiet edit", tabindex: -1, onclick: () => startEditing(number) }, "✎");
  call(edit, "edit");
  return make("div", { class: "line" }, ...whoOf(line, number), from, text, edit);
}

// Who speaks, where that is another one than in the line before.
function whoOf({ speaker }, number) {
  if (!speaker || job.transcript.lines[number - 1]?.speaker === speaker) return [];
  return [make("p", { class: "who", "data-speaker": speaker, lang: "zh" }, job.transcript.called(speaker))];
}

function callPeople() {
  for (const node of $("lines").querySelectorAll(".who")) node.textContent = job.transcript.called(node.dataset.speaker);
}

// What has changed in the list of characters, and in what is said of the whole.
function collect() {
  spans = [...$("lines").querySelectorAll(".token")];
  spoken = null;
  stand(Math.min(place, spans.length - 1), false);
  follow(player.seconds);
  const { unsure } = job.transcript;
  say($("next-unsure"), unsure ? "next_unsure" : "none_unsure", { n: unsure });
  $("next-unsure").disabled = !unsure;
  $("undo").disabled = !job.transcript.before.length;
  job.changed?.();
}

// Lets the character that is said stand out.
function follow(seconds) {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle].token.start <= seconds + NEXT) low = middle + 1;
    else high = middle;
  }
  const last = spans[low - 1];
  const now = last && (seconds + NEXT < last.token.end || spans[low]?.token.start - last.token.end < 0.3) ? last : null;
  if (now === spoken) return;
  spoken?.classList.remove("spoken");
  now?.classList.add("spoken");
  if (now && !player.audio.paused && now.line !== spoken?.line) inView(now);
  spoken = now;
}

function inView(node) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  node.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
}

// Where the keyboard is: one character is a button at a time, so that the text is read as a text.
function stand(number, focus = true) {
  const old = $("lines").querySelector("[role=button]");
  for (const name of ["role", "tabindex", "aria-label", "title"]) old?.removeAttribute(name);
  place = Math.max(0, number);
  const span = spans[place];
  if (!span) return;
  const [text, percent] = [span.token.text, Math.round(100 * span.token.confidence)];
  span.setAttribute("role", "button");
  span.setAttribute("aria-label", `${text} ${time(span.token.start)}${span.matches(".unsure") ? `, ${t("unsure", { text, percent })}` : ""}`);
  span.tabIndex = 0;
  if (focus) span.focus();
}

function go(number) {
  stand(number);
  if (spans[place]) player.go(spans[place].token.start);
}

// The same place in the line above or below, as far as that one goes.
function beside(step) {
  const here = spans[place]?.getBoundingClientRect();
  const near = [...spans.entries()].filter(([, span]) => Math.abs(span.line - spans[place].line) <= NEAR);
  const rows = near.map(([i, span]) => [i, span.getBoundingClientRect()])
    .filter(([, box]) => (step > 0 ? box.top >= here.bottom : box.bottom <= here.top));
  if (!rows.length) return place;
  const next = step > 0 ? rows[0][1].top : rows.at(-1)[1].top;
  const row = rows.filter(([, box]) => Math.abs(box.top - next) < 4);
  return row.reduce((best, one) => (Math.abs(one[1].left - here.left) < Math.abs(best[1].left - here.left) ? one : best))[0];
}

function nextUnsure() {
  for (let i = 1; i <= spans.length; i += 1) {
    const number = (place + i) % spans.length;
    if (spans[number].matches(".unsure")) return go(number);
  }
  return undefined;
}

const KEYS = {
  ArrowRight: () => stand(Math.min(place + 1, spans.length - 1)),
  ArrowLeft: () => stand(place - 1),
  ArrowDown: () => stand(beside(1)),
  ArrowUp: () => stand(beside(-1)),
  Home: () => stand(spans.findIndex((span) => span.line === spans[place].line)),
  End: () => stand(spans.findLastIndex((span) => span.line === spans[place].line)),
  Enter: () => go(place),
  " ": () => player.toggle(),
  n: nextUnsure,
  e: () => startEditing(spans[place].line),
  F2: () => startEditing(spans[place].line),
};

$("lines").addEventListener("keydown", (event) => {
  if (!event.target.matches(".token")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey;
  if (control && key === "z") undo();
  else if (control || event.altKey || !KEYS[key]) return;
  else KEYS[key]();
  event.preventDefault();
});
$("lines").addEventListener("click", (event) => {
  if (event.target.matches(".token") && getSelection().isCollapsed) go(spans.indexOf(event.target));
});
$("lines").addEventListener("dblclick", (event) => {
  if (event.target.matches(".token")) startEditing(event.target.line);
});
$("lines").addEventListener("pointerover", ({ target }) => {
  if (target.matches(".unsure") && !target.title) target.title = t("unsure", { text: target.token.text, percent: Math.round(100 * target.token.confidence) });
});

function startEditing(number) {
  if ($("lines").querySelector("textarea")) return;
  const line = job.transcript.lines[number];
  const field = make("textarea", { rows: 1, lang: "zh", spellcheck: "false" });
  field.value = joined(line.tokens);
  call(field, "editing", { time: time(line.start) });
  const old = $("lines").children[number].querySelector(".line-text");
  old.replaceWith(field);
  const grow = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  };
  field.addEventListener("input", grow);
  const mine = job;
  let ended = false;
  const end = (keep, focus) => {
    if (ended || job !== mine) return;
    ended = true;
    if (keep) job.transcript.edit(number, field.value);
    redraw(number, focus);
  };
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return; // Enter and Escape of an input method are its own
    if (event.key === "Enter") event.preventDefault();
    if (event.key === "Enter" || event.key === "Escape") end(event.key === "Enter", true);
  });
  field.addEventListener("blur", () => end(true, false));
  grow();
  field.focus();
}

function redraw(number, focus) {
  $("lines").children[number].replaceWith(lineOf(job.transcript.lines[number], number));
  collect();
  const first = spans.findIndex((span) => span.line === number);
  const within = spans[place]?.line === number ? place : first;
  if (focus) stand(within < 0 ? place : within);
}

function undo() {
  const number = job.transcript.undo();
  if (number !== null) redraw(number, true);
}

$("undo").addEventListener("click", undo);
$("next-unsure").addEventListener("click", nextUnsure);
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(job.transcript.written);
    say($("said"), "copied");
  } catch (error) {
    $("said").textContent = error.message;
  }
});
for (const button of document.querySelectorAll("[data-format]")) {
  const { format } = button.dataset;
  button.addEventListener("click", async () => {
    say($("said"), "");
    try {
      const text = await rendered(job.transcript, format);
      save(new Blob([text], { type: KIND[format] ?? "text/plain" }), `${withoutSuffix(job.name)}.${SUFFIX[format] ?? format}`);
    } catch (error) {
      $("said").textContent = inWords(error);
    }
  });
}
