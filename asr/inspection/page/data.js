"use strict";
/* What the program wrote into the page. Arrays are bytes, deflated, in base64. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const SECONDS = Math.max(DATA.seconds, 0.1);

async function unpacked(text, kind = Uint8Array) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new kind(await new Response(plain).arrayBuffer());
}

async function unpackAll() {
  DATA.samples = await unpacked(DATA.samples, Int16Array);
  DATA.speech.data = await unpacked(DATA.speech.data);
  for (const stretch of DATA.stretches) {
    for (const one of [stretch.mel, stretch.subsampled, stretch.encoded]) one.data = await unpacked(one.data);
    for (const one of [stretch.subsampled, stretch.encoded]) one.colours = await unpacked(one.colours);
    const a = stretch.attention;
    [a.data, a.outside] = [await unpacked(a.data), await unpacked(a.outside)];
    a.peaks = await unpacked(a.peaks, Float32Array);
    stretch.children = stretch.nodes.map(() => new Map());
    stretch.nodes.forEach((node, i) => node[0] >= 0 && stretch.children[node[0]].set(node[1], i));
    stretch.depths = [];
    stretch.nodes.forEach(([parent]) => stretch.depths.push(parent < 0 ? 0 : stretch.depths[parent] + 1));
  }
}

/* Every step of every stretch, from Begin to END: which of its stretch it is. */
const STEPS = DATA.stretches.flatMap((stretch, s) => stretch.way.map((node, step) => ({ s, step, node })));

/* The text of a node, up to it. */
function textOf(stretch, node) {
  let text = "";
  for (; node >= 0; node = stretch.nodes[node][0]) text = stretch.nodes[node][7] + text;
  return text;
}

/* The attention of one head, or the mean of several [layer, head], in a row: floats, one for each column. */
function listened(a, heads, row) {
  const sum = new Float32Array(a.frames);
  for (const [layer, head] of heads) {
    const place = (layer * a.heads + head) * a.rows + row;
    const scale = a.peaks[place] / 255 / heads.length, first = place * a.frames;
    for (let i = 0; i < a.frames; i++) sum[i] += scale * a.data[first + i];
  }
  return sum;
}

function outside(a, heads, row) {
  const of = ([layer, head]) => a.outside[(layer * a.heads + head) * a.rows + row] / 255;
  return heads.reduce((sum, one) => sum + of(one), 0) / heads.length;
}
