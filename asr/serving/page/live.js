// Captions while somebody speaks.

import { inWords, liveSocket } from "./api.js";
import { $, make } from "./dom.js";
import { NoMicrophone, microphone, wav } from "./microphone.js";
import { fileOf, notice } from "./recorder.js";
import { present } from "./recordings.js";
import { Transcript } from "./transcript.js";
import { remember, remembered, say, t } from "./words.js";

const SHOWN = 200; // utterances at most
const BEHIND = 5; // seconds of sound that wait to be sent before it is said that the connection is slow
const LAST = 120; // seconds in which the server must tell more, once all has been said
const [settled, changing] = $("open").children;

let session = null;
let utterances = [];
let sound = null;

class Session {
  async start() {
    this.parts = [];
    this.early = []; // what is said before the server is there
    this.bytes = 0;
    this.source = await microphone({
      take: (samples) => this.send(samples),
      loud: (loudest) => { $("live-level").value = loudest; },
      gone: (message) => this.fail(message),
    });
    const socket = await liveSocket(this.source.rate);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.opened();
    socket.onmessage = ({ data }) => this.told(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.closed(code, reason);
  }

  opened() {
    if (this.stopping) return;
    const transcription = { language: "zh", prompt: $("live-words").value };
    this.tell({ type: "session.update", session: { type: "transcription", audio: { input: { transcription } }, include: ["item.input_audio_transcription.provisional"] } });
    this.ready = true;
    for (const samples of this.early.splice(0)) this.socket.send(samples);
    say($("live-state"), "listening");
  }

  tell(event) {
    this.socket.send(JSON.stringify(event));
  }

  send(samples) {
    this.parts.push(samples);
    this.bytes += samples.byteLength;
    if (!this.ready) return void this.early.push(samples);
    if (this.socket.readyState !== WebSocket.OPEN) return undefined;
    this.socket.send(samples);
    const slow = this.socket.bufferedAmount > BEHIND * 2 * this.source.rate;
    if (!this.stopping) say($("live-state"), slow ? "slow" : "listening");
    return undefined;
  }

  told(event) {
    if (this.stopping) this.beginToWait();
    const kind = event.type.replace("conversation.item.input_audio_transcription.", "");
    if (kind === "provisional") provisional(event.text.slice(0, event.settled), event.text.slice(event.settled));
    else if (kind === "completed") completed(event);
    else if (kind === "session.updated" && this.stopping) this.socket.close(1000);
    else if (kind === "error" && !this.stopping) this.problem = event.error.message;
  }

  // Ends what is said, and waits for the last of it.
  async stop() {
    this.stopping = true;
    say($("live-state"), "finishing");
    await this.source.stop();
    if (this.socket.readyState !== WebSocket.OPEN) return this.closed();
    this.tell({ type: "input_audio_buffer.commit" });
    this.tell({ type: "session.update", session: {} }); // is answered behind all of it
    this.beginToWait();
    return undefined;
  }

  beginToWait() {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.socket.close(), 1000 * LAST);
  }

  fail(message) {
    this.problem = message;
    this.stop();
  }

  closed(code = 1000, reason = "") {
    clearTimeout(this.patience);
    if (session !== this) return;
    session = null;
    if (!this.stopping) this.source.stop();
    const why = this.problem || (code === 1000 ? "" : reason || t("lost"));
    if (why) notice(t("session_ended", { reason: why }));
    sound = this.parts.length ? { parts: this.parts, rate: this.source.rate, seconds: this.bytes / 2 / this.source.rate } : null;
    provisional("", "");
    state(false);
  }
}

function provisional(sure, open) {
  settled.textContent = sure;
  changing.textContent = open;
  hint();
}

function completed(event) {
  settled.textContent = changing.textContent = "";
  if (event.transcript) {
    utterances.push(event);
    $("over").append(make("p", {}, event.transcript));
    while ($("over").childElementCount > SHOWN) $("over").firstElementChild.remove();
  }
  hint();
}

// The last line stays in sight, unless somebody scrolls up to read; whatever else moves the text is no such wish.
function keepInSight(box) {
  let follows = true;
  let height = box.clientHeight;
  box.addEventListener("scroll", () => {
    if (box.clientHeight === height) follows = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  });
  const observer = new ResizeObserver(() => {
    height = box.clientHeight;
    if (follows) box.scrollTop = box.scrollHeight;
  });
  for (const node of [box, ...box.children]) observer.observe(node);
}

const hint = () => { $("quiet").hidden = Boolean($("over").childElementCount || $("open").textContent); };

function state(on) {
  say($("listen-text"), on ? "stop_listening" : "listen");
  for (const id of ["listen", "tab-live"]) $(id).classList.toggle("on", on);
  $("live-level").hidden = !on;
  if (!on) say($("live-state"), "");
  $("keep").hidden = on || !sound || !utterances.length;
}

let wakeful = null;

// The screen of a room stays on while there are captions.
async function stayAwake(on) {
  try {
    if (on) wakeful = await navigator.wakeLock?.request("screen");
    else await wakeful?.release();
  } catch { /* it may be refused, when the battery is low */ }
}

let busy = false;

async function toggle() {
  if (busy) return;
  busy = true;
  notice("");
  try {
    if (session) await session.stop();
    else await start();
  } finally {
    busy = false;
  }
  stayAwake(Boolean(session));
}

async function start() {
  utterances = [];
  sound = null;
  $("over").replaceChildren();
  state(true);
  say($("live-state"), "connecting");
  const begun = new Session();
  session = begun;
  try {
    await begun.start();
  } catch (error) {
    begun.source?.stop();
    session = null;
    state(false);
    notice(error instanceof NoMicrophone ? error.message : inWords(error));
  }
}

function keep() {
  const file = fileOf(wav(sound.parts, sound.rate), "live_name");
  present(file, Transcript.ofUtterances(file.name, sound.seconds, utterances));
  $("keep").hidden = true;
  $("tab-recordings").click();
}

function resize() {
  $("stage").style.setProperty("--size", `${$("size").value}rem`);
  remember("size", $("size").value);
}

keepInSight($("captions"));
$("size").value = remembered("size") ?? (innerWidth < 640 ? 2 : 3);
$("size").addEventListener("input", resize);
resize();
$("listen").addEventListener("click", toggle);
$("keep").addEventListener("click", keep);
$("fill").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen()));
addEventListener("beforeunload", (event) => { if (session) event.preventDefault(); });
