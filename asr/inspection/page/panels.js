/* The panels on the axis of time: sound, log-mel, frames, attention. Each is made once and drawn anew when something changes. */

function soundPanel(figure, view) {
  const wave = 132, speech = 56;
  const chart = new Chart(figure, wave + speech + 22, (g) => {
    chart.grid(g, wave + speech + 13);
    const { samples, rate } = DATA, middle = wave / 2;
    const loudest = Math.max(1000, samples.reduce((most, s) => Math.max(most, Math.abs(s)), 0));
    g.fillStyle = colour("decoder");
    for (let x = GUTTER; x < chart.width - MARGIN; x++) {
      const from = Math.floor(chart.seconds(x) * rate), to = Math.max(from + 1, Math.floor(chart.seconds(x + 1) * rate));
      let [low, high] = [0, 0];
      for (let i = from; i < Math.min(to, samples.length); i++) [low, high] = [Math.min(low, samples[i]), Math.max(high, samples[i])];
      const scale = (middle - 4) / loudest;
      g.fillRect(x, middle - high * scale, 1, Math.max(1, (high - low) * scale));
    }
    drawSpeech(g, chart, wave + 4, speech - 8);
    chart.label(g, view.say("wave"), middle);
    chart.label(g, view.say("speech"), wave + speech / 2);
  }, (g) => {
    chart.marks(g, view);
    if (view.hover === null) return;
    g.fillStyle = colour("ink");
    g.textAlign = view.hover > SECONDS * 0.9 ? "right" : "left";
    g.fillText(` ${(DATA.offset + view.hover).toFixed(2)} s `, chart.x(view.hover), 10);
  });
  chart.base.addEventListener("click", (event) => view.listenFrom(chart.seconds(event.offsetX)));
  return [chart];
}

function drawSpeech(g, chart, top, height) {
  const { step, data, threshold } = DATA.speech;
  g.fillStyle = colour("band");
  for (const { start, end } of DATA.stretches) g.fillRect(chart.x(start), top - 2, chart.x(end) - chart.x(start), height + 4);
  const y = (p) => top + height * (1 - p);
  g.strokeStyle = colour("soft");
  g.setLineDash([2, 3]);
  g.beginPath();
  g.moveTo(GUTTER, y(threshold));
  g.lineTo(chart.width - MARGIN, y(threshold));
  g.stroke();
  g.setLineDash([]);
  g.strokeStyle = colour("accent");
  g.lineWidth = 1.5;
  g.beginPath();
  data.forEach((p, i) => g[i ? "lineTo" : "moveTo"](chart.x(Math.min(SECONDS, (i + 0.5) * step)), y(p / 255)));
  g.stroke();
}

function melPanel(figure, view) {
  const height = 200;
  const chart = new Chart(figure, height, (g) => {
    chart.grid(g);
    const colours = ramp("loud");
    for (const stretch of DATA.stretches) {
      const { rows, columns, data, step, first } = stretch.mel;
      const picture = image(rows, columns, colours, (x, y) => data[x * columns + columns - 1 - y]);
      place(g, chart, picture, stretch, first, step, 0, height);
    }
    chart.label(g, view.say("high"), 9);
    chart.label(g, view.say("low"), height - 9);
  }, (g) => chart.marks(g, view));
  return [chart];
}

function framesPanel(figure, view, name) {
  const height = 184, strip = 16;
  const charts = [new Chart(figure, height + strip + 4, (g, chart) => {
    chart.grid(g);
    const colours = ramp("unlike");
    for (const stretch of DATA.stretches) {
      const { rows, columns, data, colours: places } = stretch[name];
      const picture = image(rows, columns, colours, (x, y) => data[x * columns + y]);
      place(g, chart, picture, stretch, stretch.first, stretch.step, 0, height);
      const similar = directions(places, rows);
      place(g, chart, similar, stretch, stretch.first, stretch.step, height + 4, strip);
    }
    chart.label(g, view.say("numbers"), height / 2);
    chart.label(g, view.say("alike"), height + 4 + strip / 2);
  }, (g, chart) => chart.marks(g, view))];
  if (name === "encoded" && DATA.stretches.some((stretch) => stretch.ctc)) charts.push(ctcChart(figure, view));
  return charts;
}

/* One colour for each frame: where it lies along the first two directions is its hue, the third its lightness. */
function directions(places, n) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, n), 1];
  const g = canvas.getContext("2d"), base = dark() ? 0.6 : 0.74;
  for (let i = 0; i < n; i++) {
    const [a, b, c] = [0, 1, 2].map((k) => places[3 * i + k] / 127.5 - 1);
    const chroma = Math.min(0.16, 0.13 * Math.hypot(a, b));
    g.fillStyle = `oklch(${base + 0.12 * c} ${chroma} ${(Math.atan2(b, a) * 180) / Math.PI + 180})`;
    g.fillRect(i, 0, 1, 1);
  }
  return canvas;
}

function ctcChart(figure, view) {
  const height = 40;
  return new Chart(figure, height, (g, chart) => {
    chart.label(g, "CTC", height / 2);
    for (const stretch of DATA.stretches) {
      let last = -99;
      for (const [frame, token, p] of stretch.ctc || []) {
        const x = chart.x(stretch.start + stretch.first + frame * stretch.step);
        g.fillStyle = colour("ctc");
        g.fillRect(x - 1, height - 20 * p, 2, 20 * p);
        if (x - last < 13) continue;
        g.textAlign = "center";
        g.textBaseline = "middle";
        g.fillText(view.name(token), x, 10);
        last = x;
      }
    }
  }, (g, chart) => chart.marks(g, view));
}

function attentionPanel(figure, view) {
  const axis = 22;
  const chart = new Chart(figure, 100, (g) => {
    const { stretch } = view, a = stretch.attention, row = rowHeight(a.rows);
    chart.grid(g, chart.height - 9);
    const shown = Math.min(view.step, a.rows);
    const colours = ramp("listens");
    for (let r = 0; r < shown; r++) {
      const weights = listened(a, view.heads(), r), most = weights.reduce((x, y) => Math.max(x, y), 1e-9);
      const picture = image(a.frames, 1, colours, (x) => Math.round((255 * weights[x]) / most));
      const step = stretch.step * a.pooled;
      place(g, chart, picture, stretch, stretch.first + (step - stretch.step) / 2, step, r * row, Math.max(1, row - (row > 7 ? 1 : 0)));
      const now = r === view.step - 1;
      g.font = `${now ? "600 " : ""}${Math.min(14, row)}px system-ui, "Noto Sans CJK SC", sans-serif`;
      g.fillStyle = colour(now ? "accent" : "ink");
      g.textAlign = "right";
      g.textBaseline = "middle";
      const node = stretch.way[r + 1];
      if (node !== undefined && (row > 7 || now)) g.fillText(view.nameOf(stretch, node), GUTTER - 8, (r + 0.5) * row, GUTTER - 10);
    }
    if (shown) {
      g.strokeStyle = colour("accent");
      g.strokeRect(chart.x(stretch.start), (shown - 1) * row - 0.5, chart.x(stretch.end) - chart.x(stretch.start), row);
    }
  }, (g) => chart.marks(g, view));
  const redraw = chart.redraw.bind(chart);
  chart.redraw = () => {
    chart.height = view.stretch ? view.stretch.attention.rows * rowHeight(view.stretch.attention.rows) + axis : 40;
    if (view.stretch) redraw();
  };
  return [chart];
}

const rowHeight = (rows) => Math.max(5, Math.min(19, Math.floor(520 / rows)));

/* All heads side by side, small: a row for each layer. */
function headsPicture(parent, view) {
  const { attention: a } = view.stretch, following = new Set(DATA.model.following.map(String)), colours = ramp("listens");
  const box = parent.appendChild(document.createElement("div"));
  box.className = "heads";
  box.style.gridTemplateColumns = `auto repeat(${a.heads}, minmax(2rem, 6.4rem))`;
  for (let layer = 0; layer < a.layers; layer++) {
    box.appendChild(document.createElement("span")).textContent = layer + 1;
    for (let head = 0; head < a.heads; head++) {
      const button = box.appendChild(document.createElement("button"));
      button.type = "button";
      button.title = view.say("headName", { layer: layer + 1, head: head + 1 });
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", String(view.layer === layer && view.head === head));
      button.classList.toggle("follows", following.has(String([layer, head])));
      const first = (layer * a.heads + head) * a.rows;
      button.append(image(a.frames, a.rows, colours, (x, y) => Math.sqrt(255 * a.data[(first + y) * a.frames + x]) | 0));
      button.addEventListener("click", () => view.choose(layer, head));
    }
  }
}
