/* The panels of the search: what could come next, and the tree of the beam. */

const scorers = () => Object.keys(DATA.search.weights);
const percent = (p) => (p >= 0.0995 ? (100 * p).toFixed(1) : p >= 0.00095 ? (100 * p).toFixed(2) : "< 0.1") + " %";
const nats = (x) => (x === null || x === undefined ? "–" : (x < 0 ? "−" : x > 0 ? "+" : "") + Math.abs(x).toFixed(2));

/* A scorer's name, with its weight. */
function weighted(view, name) {
  const weight = DATA.search.weights[name] ?? 1;
  return view.say(`scorer_${name}`) + (weight === 1 ? "" : ` × ${+weight.toFixed(3)}`);
}

/* The candidates behind a node: the five likeliest, those that went on, and the one that is looked at. */
function shownCandidates(stretch, parent, node) {
  const all = stretch.candidates[parent] || [], chosen = node >= 0 ? stretch.nodes[node][1] : -1;
  return all.filter((c, i) => i < 5 || stretch.children[parent].has(c[0]) || c[0] === chosen);
}

function drawCandidates(figure, view) {
  const { stretch, node } = view;
  figure.replaceChildren();
  if (!stretch) return;
  const parent = stretch.nodes[node][0];
  if (parent < 0) {
    const tokens = [...DATA.model.prompt, view.say("begin")].join(" ");
    figure.append(made("p", "prefix", made("small", "", view.say("nothingYet", { tokens }))));
    return;
  }
  const before = textOf(stretch, parent), after = view.nameOf(stretch, node);
  figure.append(made("p", "prefix", made("small", "", `${view.say("after")} `), before || view.say("begin"), " ", made("mark", "", after)));
  const rows = shownCandidates(stretch, parent, node);
  const table = figure.appendChild(made("table", "candidates"));
  const head = table.createTHead().insertRow();
  const names = scorers(), bonus = DATA.search.length_bonus !== 0;
  const heads = [["left", view.say("token")], ["left", view.say("probability")]];
  for (const name of names) heads.push(["part", weighted(view, name), name]);
  if (bonus) heads.push(["part", view.say("bonus"), "bonus"]);
  heads.push(["", view.say("before")], ["", view.say("sum")], ["left", view.say("fate")]);
  for (const [kind, text, name] of heads) {
    const cell = head.appendChild(made("th", kind));
    if (name) {
      const key = cell.appendChild(made("span", "key"));
      key.style.background = `var(--${name})`;
    }
    cell.append(text);
  }
  const body = table.createTBody(), largest = largestPart(rows, names);
  for (const row of rows) body.append(candidateRow(view, row, parent, { names, bonus, largest }));
}

function largestPart(rows, names) {
  const parts = rows.flatMap(([, , parts]) => names.map((name, i) => Math.abs((parts ? parts[i] ?? 0 : 0) * DATA.search.weights[name])));
  return Math.min(12, Math.max(1, ...parts));
}

function candidateRow(view, [token, logProb, parts, rank, total, adds], parent, { names, bonus, largest }) {
  const { stretch, node } = view, child = stretch.children[parent].get(token);
  const tr = made("tr", child === node ? "chosen" : "");
  const glyph = made("span", adds ? "glyph" : "glyph mark", shownSpaces(adds) || view.name(token));
  glyph.lang = "zh";
  tr.append(made("td", "left", glyph));
  const likely = made("span", "likely", made("i"));
  likely.firstChild.style.width = `${100 * Math.exp(logProb)}%`;
  tr.append(made("td", "left", likely, percent(Math.exp(logProb))));
  names.forEach((name, i) => tr.append(partCell(parts && parts[i] !== null ? parts[i] * DATA.search.weights[name] : null, name, largest)));
  const kept = child !== undefined && stretch.nodes[child];
  const extra = kept ? kept[5] - kept[4] : token === DATA.eos ? 0 : DATA.search.length_bonus;
  if (bonus) tr.append(partCell(extra, "bonus", largest));
  tr.append(made("td", "", nats(stretch.nodes[parent][5])));
  const judged = parts && parts.every((part) => part !== null);
  const added = judged ? names.reduce((sum, name, i) => sum + parts[i] * DATA.search.weights[name], 0) : null;
  const sum = kept ? kept[5] : judged ? (total ?? stretch.nodes[parent][5] + added) + extra : null;
  tr.append(made("td", "", sum === null || sum === undefined ? "–" : made(kept ? "b" : "span", "", nats(sum))));
  const fate = kept ? [view.say("goesOn", { place: kept[3] + 1 }), view.say("ended"), view.say("stopped")][kept[2]]
    : parts && parts[0] === null ? view.say("heldBack") : rank !== null ? view.say("dropped", { place: rank + 1 }) : view.say("behind");
  tr.append(made("td", kept ? "left fate kept" : "left fate", fate));
  return tr;
}

function partCell(value, name, largest) {
  const cell = made("td", "part", nats(value));
  if (value) {
    const tick = cell.appendChild(made("span", "tick"));
    tick.style.cssText = `right: .5rem; width: ${Math.min(1, Math.abs(value) / largest) * 4.2}rem; background: var(--${name})`;
    if (value > 0) tick.style.opacity = 0.45;
  }
  return cell;
}

const COLUMN = 50, ROW = 29, WIDE = 38, HIGH = 24, SVG = "http://www.w3.org/2000/svg";

function drawn(name, attributes, ...inside) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...inside);
  return node;
}

/* The whole tree of a stretch, once; what is not reached yet is hidden by `revealTree`. */
function drawTree(figure, view) {
  const { stretch } = view, columns = [], places = [];
  if (stretch) stretch.columns = columns;
  figure.replaceChildren();
  if (!stretch) return;
  stretch.nodes.forEach((node, i) => (columns[stretch.depths[i]] ||= []).push(i));
  for (const column of columns) {
    column.sort((a, b) => (stretch.nodes[a][2] === 1) - (stretch.nodes[b][2] === 1) || stretch.nodes[a][3] - stretch.nodes[b][3]);
    column.forEach((node, row) => (places[node] = row));
  }
  const leads = new Set();
  for (const [leaf] of stretch.found) for (let node = leaf; node >= 0; node = stretch.nodes[node][0]) leads.add(node);
  const way = new Set(stretch.way), x = (i) => 30 + stretch.depths[i] * COLUMN, y = (i) => 30 + places[i] * ROW;
  const width = 60 + columns.length * COLUMN, height = 46 + Math.max(...columns.map((c) => c.length)) * ROW;
  const svg = drawn("svg", { width, height, role: "img", "aria-label": view.say("tree") });
  columns.forEach((_, depth) => svg.append(drawn("text", { x: 30 + depth * COLUMN, y: 8, class: "depth", "data-depth": depth }, String(depth))));
  const kind = (i) => (way.has(i) ? "way" : leads.has(i) ? "leads" : "");
  const order = [...stretch.nodes.keys()].sort((a, b) => way.has(a) - way.has(b));
  for (const i of order) {
    const parent = stretch.nodes[i][0];
    if (parent < 0) continue;
    const [from, to] = [x(parent) + WIDE / 2, x(i) - WIDE / 2], bend = (from + to) / 2;
    const curve = `M${from} ${y(parent)}C${bend} ${y(parent)} ${bend} ${y(i)} ${to} ${y(i)}`;
    svg.append(drawn("path", { d: curve, class: kind(i), "data-depth": stretch.depths[i] }));
  }
  for (const i of order) {
    const total = stretch.nodes[i][5], name = view.nameOf(stretch, i);
    const box = drawn("rect", { x: x(i) - WIDE / 2, y: y(i) - HIGH / 2, width: WIDE, height: HIGH, rx: 6 });
    const text = drawn("text", { x: x(i), y: y(i) + 0.5, class: name.length > 2 ? "small" : "" }, name);
    const title = drawn("title", {}, `${textOf(stretch, i) || view.say("begin")}  ${nats(total)}`);
    const group = drawn("g", { class: `node ${kind(i)}`, "data-depth": stretch.depths[i], "data-node": i }, title, box, text);
    group.addEventListener("click", () => view.pick(i));
    svg.append(group);
  }
  figure.append(svg);
}

function revealTree(figure, view) {
  const shown = view.step < view.stretch.way.length - 1 ? view.step : Infinity; // in the end, texts that ended later, too
  for (const part of figure.querySelectorAll("[data-depth]")) part.classList.toggle("later", +part.dataset.depth > shown);
  for (const group of figure.querySelectorAll("g.node")) {
    group.classList.toggle("now", +group.dataset.node === view.stretch.way[view.step]);
    group.classList.toggle("picked", +group.dataset.node === view.picked);
  }
  const depth = view.picked < 0 ? view.step : view.stretch.depths[view.picked];
  figure.scrollLeft = Math.max(0, 30 + depth * COLUMN - figure.clientWidth * 0.6);
}

function drawFound(parent, view) {
  const { stretch } = view;
  parent.replaceChildren();
  if (!stretch) return;
  const table = parent.appendChild(made("table", "found")), head = table.createTHead().insertRow();
  const names = [...new Set(stretch.found.flatMap(([, , , scores]) => Object.keys(scores)))];
  const bonus = DATA.search.length_bonus !== 0 ? [view.say("bonus")] : [];
  const heads = ["", view.say("foundTexts"), ...names.map((name) => weighted(view, name)), ...bonus, view.say("total"), view.say("rank")];
  heads.forEach((text, i) => head.append(made("th", i === 1 ? "left" : "", text)));
  const body = table.createTBody();
  stretch.found.forEach(([node, score, text, scores], i) => {
    const values = names.map((name) => (scores[name] ?? null) && scores[name] * (DATA.search.weights[name] ?? 1));
    const tokens = stretch.depths[node] - (stretch.nodes[node][2] === 1);
    if (bonus.length) values.push(tokens * DATA.search.length_bonus);
    const cells = [...values, stretch.nodes[node][5]].map((value) => made("td", "", nats(value)));
    const written = made("td", "left", text || view.say("noText"));
    written.lang = "zh";
    const row = made("tr", node === stretch.way.at(-1) ? "chosen" : "", made("td", "", String(i + 1)), written, ...cells, made("td", "", nats(score)));
    row.tabIndex = 0;
    row.addEventListener("click", () => view.pick(node));
    row.addEventListener("keydown", (event) => event.key === "Enter" && view.pick(node));
    body.append(row);
  });
}

function made(tag, kind = "", ...inside) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  node.append(...inside);
  return node;
}
