"use strict";
// Draws the page from the JSON that stands in it. Everything is set as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const systems = data.systems;
const LETTERS = systems.length > 1 ? ["A", "B"] : [""];
const STEP = 50;
const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const percent = (rate) => (rate === null ? "∞" : (100 * rate).toFixed(2));
const points = (rate) => (rate > 0 ? "+" : "") + (100 * rate).toFixed(2);
const whole = (n) => n.toLocaleString("en");
const total = (e) => e.substitutions + e.deletions + e.insertions;
const between = (interval, show = percent) => (interval ? `${show(interval.low)} to ${show(interval.high)}` : "none");

function card(name, value, remark) {
  return make("div", { class: "card" }, name, make("b", {}, value), make("small", {}, remark));
}

function summarise(system, letter) {
  const cards = [
    card(data.rate, `${percent(system.cer)} %`, `95 % interval ${between(system.interval)}`),
    card("Sentences with an error", `${percent(system.wrong_utterances / system.utterances)} %`,
      `${whole(system.wrong_utterances)} of ${whole(system.utterances)}`),
    card("Substitutions", whole(system.substitutions), `of ${whole(system.reference)}`),
    card("Deletions", whole(system.deletions), "missing"),
    card("Insertions", whole(system.insertions), "too much"),
  ];
  for (const [name, errors] of Object.entries(system.languages)) cards.push(card(name, `${percent(errors.cer)} %`, `${whole(total(errors))} of ${whole(errors.reference)}`));
  if (system.syllables) cards.push(card("Tonal syllables", `${percent(system.syllables.cer)} %`, "homophones count as right"));
  if (system.oracle) cards.push(card(`Oracle of ${system.oracle.depth}`, `${percent(system.oracle.cer)} %`, "best hypothesis of each list"));
  return [make("h2", {}, `${letter} ${system.name}`.trim()), make("div", { class: "cards" }, ...cards)];
}

function compare(comparison) {
  const over = `bootstrap over ${whole(comparison.n)} ${comparison.over}`;
  const better = comparison.changes.filter((change) => change.errors < 0).length;
  return [make("h2", {}, "B against A"), make("div", { class: "cards" },
    card(`${data.rate} of B − A`, `${points(comparison.difference)}`, `95 % interval ${between(comparison.interval, points)}`),
    card("By chance", comparison.p_text, comparison.p_value === null ? "too few utterances" : over),
    card("B better", whole(better), "utterances"),
    card("B worse", whole(comparison.changes.length - better), "utterances"))];
}

function notes(system, letter) {
  const changed = Object.entries(system.changed_characters).filter(([, n]) => n[0] || n[1]);
  const lines = [`Normalised by ${data.rules.join(", ") || "no rule"}.` + (changed.length ? " Characters changed, in references and hypotheses: "
    + changed.map(([rule, n]) => `${rule} ${whole(n[0])} and ${whole(n[1])}`).join(", ") + "." : "")];
  const dropped = Object.entries(system.dropped_characters).map(([c, n]) => `${c} ${whole(n[0])} and ${whole(n[1])}`);
  if (dropped.length) lines.push(`Dropped, though it is no punctuation: ${dropped.join(", ")}.`);
  lines.push(...system.hints);
  const list = (ids) => ids.slice(0, 200).join(", ") + (ids.length > 200 ? " …" : "");
  if (system.missing.length) lines.push(`${whole(system.missing.length)} utterances without hypothesis count as deleted: ${list(system.missing)}`);
  if (system.extra.length) lines.push(`${whole(system.extra.length)} hypotheses without reference are left out: ${list(system.extra)}`);
  return lines.map((line) => make("p", { class: "note" }, letter ? `${letter}: ${line}` : line));
}

// A table whose columns sort when their heads are pressed. columns: [head, row → value, value → text]
function table(title, columns, rows, onpress) {
  const body = make("tbody");
  const heads = columns.map(([head], place) => make("th", { scope: "col" },
    make("button", { type: "button", onclick: () => sort(place) }, head)));
  let sorted = [-1, 1];
  function sort(place) {
    const rising = sorted[0] === place ? -sorted[1] : place ? -1 : 1; // numbers: the largest first
    sorted = [place, rising];
    const value = columns[place][1];
    rows = [...rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)].map((v) => (v === null ? Infinity : v));
      return rising * (typeof x === "string" ? x.localeCompare(y, "zh", { numeric: true }) : x - y);
    });
    heads.forEach((head, n) => n === place ? head.setAttribute("aria-sort", rising > 0 ? "ascending" : "descending")
      : head.removeAttribute("aria-sort"));
    fill();
  }
  function fill() {
    body.replaceChildren(...rows.map((row) => make("tr", onpress ? link(() => onpress(row)) : {},
      ...columns.map(([, value, show]) => make("td", {}, show ? show(value(row), row) : String(value(row)))))));
  }
  fill();
  return make("div", { class: "table" }, make("h3", {}, title),
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body)));
}

// A row that can be pressed, by mouse or keyboard.
const link = (press) => ({ class: "link", tabindex: 0, onclick: press, onkeydown: (event) => event.key === "Enter" && press() });

// Groups of all systems side by side.
function groupTable(title, key, first, onpress) {
  const columns = [[first, (row) => row.name], ["utterances", (row) => row.utterances, whole], ["N", (row) => row.reference, whole]];
  systems.forEach((system, n) => {
    const of = new Map(system[key].map((group) => [group.name, group]));
    columns.push([`${data.rate} % ${LETTERS[n]}`.trim(), (row) => of.get(row.name).cer, percent]);
    if (systems.length > 1) return;
    columns.push(["wrong %", (row) => row.wrong / row.utterances, percent], ["S", (row) => row.substitutions, whole],
      ["D", (row) => row.deletions, whole], ["I", (row) => row.insertions, whole]);
  });
  return table(title, columns, systems[0][key], onpress);
}

function confusionTable(system, letter) {
  const sounds = system.sounds;
  const columns = [["reference", (row) => row.reference || "–"], ["recognised", (row) => row.hypothesis || "–"], ["count", (row) => row.count, whole]];
  if (sounds) {
    const substituted = (row) => row.reference && row.hypothesis;
    const show = (value, row) => (substituted(row) ? whole(value) : "");
    columns.push(["same sound", (row) => row.kinds.homophone, show], ["other tone", (row) => row.kinds["other tone"], show],
      ["other sound", (row) => row.kinds.other, show]);
  }
  const node = table(`Most frequent errors ${letter}`.trim(), columns, system.confusions, (row) => {
    $("filters").reset();
    pair = [row.reference, row.hypothesis];
    refresh();
    $("filters").scrollIntoView();
  });
  if (sounds && system.substitutions) {
    const share = (kind) => `${percent(sounds[kind] / system.substitutions)} %`;
    node.append(make("p", { class: "note" }, `Of all substitutions ${share("homophone")} sound the same, `
      + `${share("other tone")} differ in tone only, ${share("other")} sound different.`));
  }
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Bars side by side. names: [text]; series: one list of numbers per system
function bars(title, names, series, show) {
  const [width, height, left, step] = [60 * names.length + 20, 170, 10, 60];
  const top = Math.max(...series.flat().filter(Number.isFinite), 1e-9);
  const chart = svg("svg", { width, height: height + 40, role: "img", "aria-label": title });
  names.forEach((name, place) => {
    series.forEach((values, n) => {
      const tall = Math.max(1, (height - 20) * Math.min(1, values[place] / top));
      const [x, wide] = [left + place * step + 4 + n * (50 / series.length), 50 / series.length - 2];
      const bar = svg("rect", { x, y: height - tall, width: wide, height: tall, class: n ? "second" : "first" });
      bar.append(svg("title", {}, `${name}: ${show(values[place])} ${LETTERS[n]}`));
      chart.append(bar, svg("text", { x: x + wide / 2, y: height - tall - 4, "text-anchor": "middle" }, show(values[place])));
    });
    chart.append(svg("text", { x: left + place * step + 28, y: height + 16, "text-anchor": "middle" }, name));
  });
  chart.append(svg("line", { x1: 0, x2: width, y1: height, y2: height }));
  const key = LETTERS.length > 1 ? [make("small", {}, make("span", { class: "first" }, "A"), " ", make("span", { class: "second" }, "B"))] : [];
  return make("figure", {}, make("h3", {}, title, " ", ...key), chart);
}

function plots() {
  const lengths = systems[0].by_length.map((group) => group.name);
  const short = (rate) => (Number.isFinite(rate) ? (100 * rate).toFixed(1) : "∞");
  const places = ["whole", "start", "middle", "end"];
  return [
    bars(`${data.rate} in % by length of the reference`, lengths, systems.map((s) => s.by_length.map((g) => g.cer ?? Infinity)), short),
    bars(`Utterances by their ${data.rate}`, systems[0].histogram.map(([name]) => name), systems.map((s) => s.histogram.map(([, n]) => n)), whole),
    bars("Deletions by place", places, systems.map((s) => places.map((place) => s.deletions_at[place])), whole),
  ];
}

// The list of utterances: filtered and ordered, STEP at a time.
let pair = null;
let shown = [];
const wrong = (scored) => scored[0] + scored[1] + scored[2];
const rateOf = (scored) => (scored[3] ? wrong(scored) / scored[3] : wrong(scored) ? Infinity : 0);
const units = (run) => (data.joint ? run.split(data.joint) : Array.from(run));
const side = (scored, place) => scored[4].map((part) => (typeof part === "string" ? part : part[place])).filter(Boolean).join(data.joint);
// For searching: as the rules of normalisation would write it, roughly.
const plain = (text) => text.normalize("NFKC").toUpperCase().replace(/[\p{P}\p{S}\s]/gu, "");
const OF_A = systems.length > 1 ? " of A" : "";
const ORDERS = {
  [`most errors${OF_A}`]: (a, b) => wrong(b[3][0]) - wrong(a[3][0]),
  [`highest ${data.rate}${OF_A}`]: (a, b) => (rateOf(b[3][0]) - rateOf(a[3][0])) || wrong(b[3][0]) - wrong(a[3][0]),
  "longest": (a, b) => b[3][0][3] - a[3][0][3],
  "as in the file": () => 0,
};
if (systems.length > 1) {
  const change = (u) => wrong(u[3][1]) - wrong(u[3][0]);
  ORDERS["B gained most"] = (a, b) => change(a) - change(b);
  ORDERS["B lost most"] = (a, b) => change(b) - change(a);
}

function passes([id, speaker, , scores]) {
  const kinds = ["has-s", "has-d", "has-i"].map((box) => $(box).checked);
  if (!kinds.every((wanted, kind) => !wanted || scores.some((scored) => scored[kind]))) return false;
  const wanted = $("speaker").value;
  if (wanted !== "" && (wanted === "none" ? -1 : Number(wanted)) !== speaker) return false;
  const holds = (part) => typeof part !== "string" && part[0] === pair[0] && part[1] === pair[1];
  if (pair && !scores.some((scored) => scored[4].some(holds))) return false;
  const text = plain($("search").value);
  return !text || [id, side(scores[0], 0), ...scores.map((scored) => side(scored, 1))].some((where) => plain(where).includes(text));
}

function aligned(scored, letter) {
  const columns = scored[4].flatMap((part) => (typeof part === "string" ? units(part).map((unit) => [unit, unit]) : [part]));
  const kind = ([r, h]) => (r === h ? "" : !h ? "d" : !r ? "i" : "s");
  return make("div", { class: data.joint ? "aligned words" : "aligned", lang: "zh-CN" }, letter,
    ...columns.map((column) => make("span", { class: kind(column) }, ...column.map((unit) => make("span", {}, unit || "\u3000")))));
}

function entry([id, speaker, audio, scores]) {
  const head = make("div", { class: "head" }, make("span", { class: "id" }, id));
  if (speaker >= 0) head.append(make("span", {}, data.speakers[speaker]));
  scores.forEach((scored, n) => head.append(make("span", {}, `${LETTERS[n]} ${percent(Number.isFinite(rateOf(scored)) ? rateOf(scored) : null)} % `
    + `[ ${scored[0]} S, ${scored[1]} D, ${scored[2]} I / ${scored[3]} ]`)));
  if (audio) head.append(make("audio", { controls: "", preload: "none", src: audio }), make("a", { href: audio }, "audio"));
  return make("li", {}, head, ...scores.map((scored, n) => aligned(scored, LETTERS[n])));
}

function more() {
  const list = $("utterances");
  list.append(...shown.slice(list.children.length, list.children.length + STEP).map(entry));
  $("more").hidden = list.children.length >= shown.length;
}

function refresh() {
  shown = data.list.filter(passes).sort(ORDERS[$("order").value]);
  const named = pair ? `, with ${pair[0] || "nothing"} → ${pair[1] || "nothing"}` : "";
  $("count").textContent = `${whole(shown.length)} of ${whole(data.list.length)}${named}`;
  $("utterances").replaceChildren();
  more();
}

function start() {
  const title = systems.map((system, n) => `${LETTERS[n]} ${percent(system.cer)} %`.trim()).join(", ");
  $("title").textContent = document.title = `${data.rate} ${title}`;
  $("about").textContent = `Reference: ${data.reference} · ${whole(systems[0].utterances)} utterances, ${whole(systems[0].reference)} `
    + (data.unit === "mixed" ? "characters and words" : "characters");
  $("summary").append(...systems.flatMap((system, n) => summarise(system, LETTERS[n])), ...(data.comparison ? compare(data.comparison) : []));
  $("notes").append(...systems.flatMap((system, n) => notes(system, LETTERS[n])));
  if (!systems[0].syllables) $("notes").append(make("p", { class: "note" }, "Without pypinyin there are no readings: pip install 'mandarin-asr[text]'"));
  $("plots").append(make("h2", {}, "Where the errors are"), make("div", { class: "flow" }, ...plots()));
  const speaker = (row) => { pair = null; $("filters").reset(); $("speaker").value = data.speakers.indexOf(row.name) < 0 ? "none" : data.speakers.indexOf(row.name); refresh(); $("filters").scrollIntoView(); };
  const tables = make("div", { class: "flow" });
  if (data.speakers.length) tables.append(groupTable("Speakers", "by_speaker", "speaker", speaker));
  tables.append(groupTable("Lengths", "by_length", "characters"), ...systems.map((system, n) => confusionTable(system, LETTERS[n])));
  $("tables").append(tables);
  $("speaker").append(make("option", { value: "" }, "all speakers"), make("option", { value: "none" }, "no speaker"), ...data.speakers.map((name, n) => make("option", { value: n }, name)));
  $("speaker").hidden = !data.speakers.length;
  $("order").append(...Object.keys(ORDERS).map((name) => make("option", {}, name)));
  for (const event of ["input", "change"]) $("filters").addEventListener(event, refresh); // while typing; when chosen
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => { pair = null; setTimeout(refresh); }); // after the fields are empty
  $("more").addEventListener("click", more);
  refresh();
}

start();
