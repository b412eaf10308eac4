/* Canvases on one axis of time: a gutter for labels, then the clip from its first to its last second. */

const GUTTER = 64, MARGIN = 6;
const RAMPS = {
  light: {
    loud: ["#ffffff", "#dbe7f1", "#8fb8d9", "#36719f", "#122f4f"],
    unlike: ["#2f7672", "#b9d8d4", "#fbfbfa", "#efd3b5", "#b0672a"],
    listens: ["#ffffff", "#fbe2d3", "#f0a184", "#c94f46", "#5f1a34"],
  },
  dark: {
    loud: ["#15181c", "#1b3348", "#2d628f", "#74abd6", "#eaf4ff"],
    unlike: ["#7fc7c0", "#2e5855", "#1a1d21", "#654729", "#e3a76f"],
    listens: ["#15181c", "#3c2129", "#8e3a3d", "#e6805f", "#ffe3b3"],
  },
};

function dark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const COLOURS = new Map();

function colour(name) {
  if (!COLOURS.has(name)) COLOURS.set(name, computedColour(name));
  return COLOURS.get(name);
}

function computedColour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/* 256 colours from a few: one 32-bit number each. */
function ramp(name) {
  const stops = RAMPS[dark() ? "dark" : "light"][name].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(place));
    const [r, g, b] = stops[low].map((c, k) => Math.round(c + (stops[low + 1][k] - c) * (place - low)));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
}

/* A canvas, with another one over it for what moves. `height` may be a function of its width. */
class Chart {
  constructor(parent, height, draw, drawOver = () => {}) {
    Object.assign(this, { height, draw, drawOver });
    this.stack = parent.appendChild(document.createElement("div"));
    this.stack.className = "stack";
    [this.base, this.over] = ["base", "over"].map((name) => {
      const canvas = this.stack.appendChild(document.createElement("canvas"));
      canvas.className = name;
      return canvas;
    });
  }

  fit(canvas) {
    const scale = devicePixelRatio || 1, h = this.height;
    canvas.width = Math.round(this.width * scale);
    canvas.height = Math.round(h * scale);
    canvas.style.height = `${h}px`;
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.font = '12px system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif';
    return g;
  }

  redraw() {
    this.width = Math.max(160, this.stack.clientWidth);
    this.draw(this.fit(this.base), this);
    this.refresh();
  }

  refresh() {
    if (this.width) this.drawOver(this.fit(this.over), this);
  }

  x(seconds) {
    return GUTTER + (seconds / SECONDS) * (this.width - GUTTER - MARGIN);
  }

  seconds(x) {
    return Math.min(SECONDS, Math.max(0, ((x - GUTTER) / (this.width - GUTTER - MARGIN)) * SECONDS));
  }

  label(g, text, y) {
    g.fillStyle = colour("soft");
    g.textAlign = "right";
    g.textBaseline = "middle";
    g.fillText(text, GUTTER - 8, y, GUTTER - 10);
  }

  /* Lines at round seconds; their names, where `y` is given. */
  grid(g, y = null) {
    const step = [0.1, 0.2, 0.5, 1, 2, 5].find((s) => (SECONDS / s) * 46 < this.width - GUTTER) || 5;
    g.strokeStyle = colour("line");
    g.fillStyle = colour("soft");
    g.textBaseline = "middle";
    g.lineWidth = 1;
    const from = Math.ceil(DATA.offset / step - 1e-6);
    for (let i = from; i * step <= DATA.offset + SECONDS + 1e-6; i++) {
      const x = Math.round(this.x(i * step - DATA.offset)) + 0.5;
      g.beginPath();
      g.moveTo(x, 0);
      g.lineTo(x, y === null ? this.height : y - 8);
      g.stroke();
      g.textAlign = x > this.width - 24 ? "right" : "center";
      if (y !== null) g.fillText(`${+(i * step).toFixed(1)} s`, x, y);
    }
  }

  /* When the sign of a step is said, where playing is, and where the mouse is. */
  marks(g, view) {
    const span = view.span(), moment = view.playing;
    if (view.hover !== null) {
      g.fillStyle = colour("soft");
      g.fillRect(Math.round(this.x(view.hover)), 0, 1, this.height);
    }
    if (span) {
      g.fillStyle = colour("band");
      const x = this.x(span[0]);
      g.fillRect(x, 0, Math.max(2, this.x(span[1]) - x), this.height);
    }
    if (moment !== null) {
      g.fillStyle = colour("accent");
      g.fillRect(this.x(moment), 0, 1.5, this.height);
    }
  }
}

/* An image of (columns × rows) numbers 0 to 255, `at(column, row)`, row 0 at the top. */
function image(columns, rows, colours, at) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, columns), Math.max(1, rows)];
  const pixels = new ImageData(canvas.width, canvas.height), words = new Uint32Array(pixels.data.buffer);
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) words[y * columns + x] = colours[at(x, y)];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/* Places an image whose columns are `step` seconds wide, the first around `first`, in the stretch. */
function place(g, chart, picture, stretch, first, step, y, height) {
  const start = chart.x(stretch.start + first - step / 2), end = chart.x(stretch.start + first + (picture.width - 0.5) * step);
  g.save();
  g.beginPath();
  g.rect(chart.x(stretch.start), y, chart.x(stretch.end) - chart.x(stretch.start), height);
  g.clip();
  g.imageSmoothingEnabled = false;
  g.drawImage(picture, start, y, end - start, height);
  g.restore();
}
