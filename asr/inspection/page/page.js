/* The page: what is looked at now, and everything that is drawn from it. */

const PANELS = ["sound", "mel", "subsampled", "encoded", "attention", "candidates", "tree"];
const SECONDS_A_STEP = 0.85;
const KINDS = { transformer: "Transformer", conformer: "Conformer", e_branchformer: "E-Branchformer" };
const $ = (id) => document.getElementById(id);
const shownSpaces = (text) => text.replaceAll(" ", "␣");
/* Language and theme, as the address says, or the frame that the page is shown in. */
const wanted = new Set((location.hash.slice(1) || window.name).split(","));

const view = {
  language: wanted.has("zh") || (!wanted.has("en") && navigator.language.startsWith("zh")) ? "zh" : "en",
  at: 0, picked: -1, layer: -1, head: -1, playing: null, hover: null, timer: 0, charts: [], figures: {}, drawnTree: null,

  say(key, values = {}) {
    const text = WORDS[this.language][key] ?? key.replace(/^scorer_/, "");
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  },
  name(token) {
    return token === DATA.eos ? this.say("end") : DATA.labels[token] ?? "";
  },
  /* What a node is called: the character that its token completes, or the token itself. */
  nameOf(stretch, node) {
    const [parent, token, , , , , , adds] = stretch.nodes[node];
    return parent < 0 ? this.say("begin") : shownSpaces(adds) || this.name(token);
  },
  get stretch() {
    return STEPS.length ? DATA.stretches[STEPS[this.at].s] : null;
  },
  get step() {
    return STEPS.length ? STEPS[this.at].step : 0;
  },
  get node() {
    return this.picked >= 0 ? this.picked : STEPS[this.at].node;
  },
  /* When the sign of this step is said, in the clip. */
  span() {
    const span = this.stretch && this.step ? this.stretch.spans[this.step - 1] : null;
    return span ? span.map((s) => s + this.stretch.start) : null;
  },
  /* The heads whose mean is drawn: -1 is all of them, or those that are known to follow what is said. */
  heads() {
    const { layers, heads } = this.stretch.attention, all = [...Array(heads).keys()];
    if (this.layer >= 0) return this.head >= 0 ? [[this.layer, this.head]] : all.map((head) => [this.layer, head]);
    return DATA.model.following.length ? DATA.model.following : all.map((head) => [layers - 1, head]);
  },
  choose(layer, head) {
    const same = layer === this.layer && head === this.head;
    [this.layer, this.head] = same ? [-1, -1] : [layer, head];
    drawAttention();
  },
  go(at) {
    const before = this.stretch;
    this.at = Math.max(0, Math.min(STEPS.length - 1, at));
    this.picked = -1;
    draw(before !== this.stretch);
  },
  pick(node) {
    this.picked = node === this.picked ? -1 : node;
    revealTree(this.figures.tree, this);
    drawCandidates(this.figures.candidates, this);
  },
  /* The text so many places below in the beam of this step. */
  pickBelow(places) {
    if (!this.stretch) return;
    const column = this.stretch.columns[this.step], at = column.indexOf(this.node) + places;
    if (at >= 0 && at < column.length && column[at] !== this.picked) this.pick(column[at]);
  },
  listenFrom(seconds, end = SECONDS) {
    listen(seconds, end);
  },
};

/* Sound */

let sounding = null;

function listen(from, to) {
  hush();
  const context = new AudioContext(), { rate, samples } = DATA;
  const part = samples.subarray(Math.floor(from * rate), Math.ceil(to * rate));
  if (!part.length) return;
  const buffer = context.createBuffer(1, part.length, rate), source = context.createBufferSource();
  buffer.getChannelData(0).set(Float32Array.from(part, (s) => s / 32768));
  source.buffer = buffer;
  source.connect(context.destination);
  source.onended = () => sounding && sounding.source === source && hush();
  source.start();
  sounding = { context, source };
  const show = () => {
    if (!sounding || sounding.source !== source) return;
    view.playing = from + context.currentTime;
    view.charts.forEach((chart) => chart.refresh());
    requestAnimationFrame(show);
  };
  show();
}

function hush() {
  if (!sounding) return;
  const { context, source } = sounding;
  sounding = view.playing = null;
  source.onended = null;
  source.stop();
  context.close();
  view.charts.forEach((chart) => chart.refresh());
}

/* Steps */

function play(on) {
  clearInterval(view.timer);
  view.timer = 0;
  if (on && STEPS.length) {
    if (view.at === STEPS.length - 1) view.go(0);
    view.timer = setInterval(() => {
      view.go(view.at + 1);
      if (view.at === STEPS.length - 1) play(false);
    }, 1000 * SECONDS_A_STEP);
  }
  $("play").textContent = view.say(view.timer ? "stop" : "play");
}

function hearStep() {
  const span = view.span();
  if (span) listen(Math.max(0, span[0] - 0.03), Math.min(SECONDS, span[1] + 0.05));
  else if (view.stretch) listen(view.stretch.start, view.stretch.end);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input")) return;
  const moves = { ArrowRight: view.at + 1, ArrowLeft: view.at - 1, Home: 0, End: STEPS.length - 1 };
  if (event.key in moves) {
    play(false);
    view.go(moves[event.key]);
  } else if (event.key === " " && !event.target.closest("button")) play(!view.timer);
  else if (event.key.toLowerCase() === "h") hearStep();
  else if (event.key.toLowerCase() === "j") view.pickBelow(1);
  else if (event.key.toLowerCase() === "k") view.pickBelow(-1);
  else return;
  event.preventDefault();
}

/* What stands in the page */

const inLanguage = ([english, chinese]) => (view.language === "zh" ? chinese : english);

function drawHeader() {
  const { model } = DATA;
  document.documentElement.lang = view.language === "zh" ? "zh-CN" : "en";
  document.title = $("title").textContent = view.say("title", { name: DATA.name });
  $("text").textContent = DATA.text || view.say("noText");
  $("about").textContent = `${view.say(DATA.stretches.length ? "about" : "noSpeech")} ${view.say("model", { model: model.name })}`;
  const parts = DATA.stretches.filter((s) => s.reasons.length).map((s) => view.say("partOf", { reasons: s.reasons.map(inLanguage).join("; ") }));
  $("warnings").replaceChildren(...[...new Set([...DATA.warnings.map(inLanguage), ...parts])].map((line) => made("li", "", line)));
  $("language").textContent = view.say("language");
  $("theme").textContent = view.say(dark() ? "toLight" : "toDark");
  $("hear").textContent = view.say("hear");
  $("keys").textContent = view.say("keys");
  for (const name of ["first", "back", "on", "last"]) $(name).title = view.say(name), $(name).setAttribute("aria-label", view.say(name));
  $("stepper").setAttribute("aria-label", view.say("steps"));
  $("pipeline").replaceChildren(...PANELS.flatMap((name, i) => {
    const box = made("button", "", made("b", "", view.say(`box_${name}`)), made("small", "", view.say(`in_${name}`, sizes(name))));
    box.type = "button";
    box.addEventListener("click", () => $(name).scrollIntoView({ behavior: "smooth" }));
    return i ? [made("i", "", "→"), box] : [box];
  }));
}

const grouped = (n) => n.toLocaleString("en-US");

function sizes(name) {
  const { model } = DATA;
  const total = (read) => grouped(DATA.stretches.reduce((sum, s) => sum + read(s), 0));
  return {
    sound: { n: grouped(DATA.samples.length) },
    mel: { rows: total((s) => s.mel.rows), columns: model.mels },
    subsampled: { rows: total((s) => s.subsampled.rows), width: model.encoder.width },
    encoded: { rows: total((s) => s.encoded.rows), width: model.encoder.width, layers: model.encoder.layers },
    attention: { layers: model.decoder.layers, heads: model.decoder.heads },
    candidates: { vocabulary: grouped(model.vocabulary), steps: total((s) => s.way.length - 1) },
    tree: { beam: DATA.search.beam },
  }[name];
}

function explained(name) {
  const { model, search } = DATA, stretch = DATA.stretches[0];
  const values = {
    rate: grouped(DATA.rate), shift: model.shift_ms, frame: model.frame_ms, mels: model.mels, convolutions: model.convolutions, factor: model.factor,
    step: Math.round(model.factor * model.shift_ms), width: model.encoder.width, some: stretch && stretch.encoded.every > 1 ? view.say("some", stretch.encoded) : "",
    layers: name === "encoded" ? model.encoder.layers : model.decoder.layers, heads: model.decoder.heads,
    kind: KINDS[model.encoder.kind], vocabulary: grouped(model.vocabulary), beam: search.beam,
    rank: view.say(search.length_power === 0 ? "rank_plain" : search.gnmt_length ? "rank_gnmt" : search.length_power === 1 ? "rank_mean" : "rank_length", { power: search.length_power }),
  };
  const lines = WORDS[view.language][`p_${name}`].map((line) => line.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole));
  if (name === "encoded") lines.push(view.say(model.ctc ? "p_ctc" : "p_noCtc"));
  if (name === "attention" && model.following.length) lines.push(view.say("p_follows"));
  if (name === "attention" && stretch && stretch.attention.pooled > 1) lines.push(view.say("p_pooled", { pooled: stretch.attention.pooled }));
  if (name === "candidates" && Object.values(DATA.labels).some((label) => /^[0-9A-F]{2}( [0-9A-F]{2})*$/.test(label))) lines.push(view.say("p_bytes"));
  const hidden = DATA.stretches.reduce((sum, s) => sum + s.hidden, 0);
  if (name === "tree" && hidden) lines.push(view.say("hidden", { hidden: grouped(hidden) }));
  return lines.map((line) => made("p", "", line));
}

/* What each scorer is, with its colour. */
function scorerKeys() {
  const names = scorers(), lines = DATA.search.length_bonus ? [...names, "bonus"] : names;
  const values = { lm: DATA.search.lm, words: DATA.search.hotwords.slice(0, 5).join("，") };
  const keys = lines.map((name) => {
    const key = made("span", "key");
    key.style.background = `var(--${name})`;
    return made("p", "", key, view.say(`s_${name}`, values));
  });
  return names.length > 1 ? keys : [...keys, made("p", "", view.say("s_alone"))];
}

function makePanels() {
  view.charts = [];
  $("panels").replaceChildren();
  for (const name of DATA.stretches.length ? PANELS : ["sound"]) {
    const figure = made("figure"), aside = made("aside", "", made("h2", "", view.say(`h_${name}`)), ...explained(name));
    if (name === "candidates") aside.append(...scorerKeys());
    const section = made("section", "panel", figure, aside);
    section.id = name;
    section.setAttribute("aria-label", view.say(`h_${name}`));
    $("panels").append(section);
    view.figures[name] = figure;
    if (name === "sound") view.charts.push(...soundPanel(figure, view));
    if (name === "mel") view.charts.push(...melPanel(figure, view));
    if (name === "subsampled" || name === "encoded") view.charts.push(...framesPanel(figure, view, name));
    if (name === "attention") makeAttention(figure, aside);
    if (name === "tree") {
      view.figures.tree = figure.appendChild(made("div", "scroll"));
      view.figures.found = figure.appendChild(made("div", "wide"));
    }
  }
}

function makeAttention(figure, aside) {
  [view.attention] = attentionPanel(figure, view);
  view.charts.push(view.attention);
  view.figures.heads = figure.appendChild(made("div"));
  const tools = made("div", "tools"), { layers, heads } = DATA.stretches[0].attention;
  const option = (text, value) => new Option(text, value);
  view.selects = ["layer", "head"].map((name) => {
    const select = made("select");
    select.id = `choose-${name}`;
    tools.append(made("label", "", `${view.say(name)} `, select));
    return select;
  });
  const [layer, head] = view.selects;
  layer.append(option(view.say(DATA.model.following.length ? "following" : "lastLayer"), -1), ...[...Array(layers).keys()].map((i) => option(i + 1, i)));
  head.append(option(view.say("mean"), -1), ...[...Array(heads).keys()].map((i) => option(i + 1, i)));
  const chosen = () => {
    [view.layer, view.head] = [+layer.value, +layer.value < 0 ? -1 : +head.value];
    drawAttention();
  };
  layer.addEventListener("change", chosen);
  head.addEventListener("change", chosen);
  aside.firstChild.after(tools);
  view.outside = aside.appendChild(made("p"));
}

function makeChips() {
  $("chips").replaceChildren(...STEPS.map(({ s, step, node }, i) => {
    const stretch = DATA.stretches[s], mark = !step || !stretch.nodes[node][7];
    const chip = made("button", mark ? "mark" : "", view.nameOf(stretch, node));
    chip.type = "button";
    chip.addEventListener("click", () => {
      play(false);
      view.go(i);
    });
    return made("li", !step && s ? "apart" : "", chip);
  }));
}

/* Drawing what changes */

function drawAttention() {
  if (!view.stretch) return;
  const [layer, head] = view.selects;
  [layer.value, head.value, head.disabled] = [view.layer, view.head, view.layer < 0];
  view.attention.redraw();
  view.figures.heads.replaceChildren();
  headsPicture(view.figures.heads, view);
  drawOutside();
}

function drawOutside() {
  const row = Math.min(view.step, view.stretch.attention.rows) - 1;
  const share = row >= 0 ? outside(view.stretch.attention, view.heads(), row) : 0;
  view.outside.textContent = share >= 0.005 ? view.say("outside", { share: percent(share) }) : "";
}

function draw(everything = false) {
  if (!STEPS.length) return;
  [...$("chips").querySelectorAll("button")].forEach((chip, i) => {
    chip.classList.toggle("written", i <= view.at);
    if (i === view.at) chip.setAttribute("aria-current", "step");
    else chip.removeAttribute("aria-current");
  });
  const chip = $("chips").children[view.at], list = $("chips");
  list.scrollLeft = chip.offsetLeft - list.offsetLeft - list.clientWidth / 2;
  const parts = DATA.stretches.length, { s, step } = STEPS[view.at];
  $("where").textContent = (parts > 1 ? view.say("part", { part: s + 1, parts }) : "") + view.say("where", { step, steps: view.stretch.way.length - 1 });
  if (everything) {
    drawTree(view.figures.tree, view);
    drawFound(view.figures.found, view);
    drawAttention();
  } else {
    view.attention.redraw();
    drawOutside();
  }
  view.charts.forEach((chart) => chart !== view.attention && chart.refresh());
  drawCandidates(view.figures.candidates, view);
  revealTree(view.figures.tree, view);
}

/* A line through all pictures, at the same second. */
function pointAt(seconds) {
  view.hover = seconds;
  view.charts.forEach((chart) => chart.refresh());
}

function drawAll() {
  COLOURS.clear();
  drawHeader();
  makePanels();
  makeChips();
  view.charts.forEach((chart) => {
    chart.base.addEventListener("mousemove", (event) => pointAt(chart.seconds(event.offsetX)));
    chart.base.addEventListener("mouseleave", () => pointAt(null));
    chart.redraw();
  });
  draw(true);
  play(Boolean(view.timer));
}

async function begin() {
  for (const theme of ["dark", "light"]) if (wanted.has(theme)) document.documentElement.dataset.theme = theme;
  try {
    await unpackAll();
  } catch (error) {
    $("about").textContent = view.say("old", { reason: String(error) });
    return;
  }
  const moves = { first: () => 0, back: () => view.at - 1, on: () => view.at + 1, last: () => STEPS.length - 1 };
  for (const [name, place] of Object.entries(moves)) $(name).addEventListener("click", () => (play(false), view.go(place())));
  $("play").addEventListener("click", () => play(!view.timer));
  $("hear").addEventListener("click", hearStep);
  $("language").addEventListener("click", () => ((view.language = view.language === "zh" ? "en" : "zh"), drawAll()));
  $("theme").addEventListener("click", () => ((document.documentElement.dataset.theme = dark() ? "light" : "dark"), drawAll()));
  $("stepper").hidden = !STEPS.length;
  document.addEventListener("keydown", onKey);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let width = innerWidth;
  addEventListener("resize", () => innerWidth !== width && ((width = innerWidth), view.charts.forEach((chart) => chart.redraw()), draw()));
  drawAll();
  document.documentElement.dataset.ready = "yes";
}

begin();
