// What the page asks the server, as its README describes it.

import { language, t } from "./words.js";

const REMEMBERED = "asr.key";
let key = sessionStorage.getItem(REMEMBERED) ?? "";
let askForKey = async () => null;
let asking = null;

export class Refused extends Error {
  // status: of HTTP, 0 where no answer came; after: seconds until it is worth asking again
  constructor(message, status = 0, after = 0) {
    super(message);
    Object.assign(this, { status, after });
  }
}

export const stopped = (error) => error.name === "AbortError";
export const inWords = (error) => (error instanceof Refused && error.status ? t("refused", { message: error.message }) : error.message);

// `ask`: a key from the person, told whether the last one was wrong; null where there is none.
export function onKeyWanted(ask) {
  askForKey = ask;
}

export const hasKey = () => Boolean(key);

// Asks the person for a key; those who ask meanwhile wait for the same answer.
export function changeKey(wrong = false) {
  asking ??= askForKey(wrong).then((given) => {
    if (given !== null) sessionStorage.setItem(REMEMBERED, (key = given));
    return given !== null;
  }).finally(() => { asking = null; });
  return asking;
}

const address = (path) => new URL(path, document.baseURI);
// A key is of ASCII characters, as headers are; any other is a wrong one, which the server is left to say.
const headers = () => ({ "Accept-Language": language, ...(key && { Authorization: `Bearer ${key.replace(/[^ -~]/g, "?")}` }) });

// What `action` gives, once the server knows the key.
async function withKey(action) {
  for (;;) {
    const before = key;
    try {
      return await action();
    } catch (error) {
      if (error.status !== 401) throw error;
      if (key === before && !(await changeKey(Boolean(key)))) throw error;
    }
  }
}

function refusal(status, text, after) {
  let message = text.slice(0, 300);
  try { message = JSON.parse(text).error.message; } catch { /* it was no JSON */ }
  return new Refused(message || `HTTP ${status}`, status, Number(after) || 0);
}

async function ask(path, request = {}) {
  return withKey(async () => {
    let answer;
    try {
      answer = await fetch(address(path), { ...request, headers: headers() });
    } catch (error) {
      throw stopped(error) ? error : new Refused(t("lost"));
    }
    if (!answer.ok) throw refusal(answer.status, await answer.text(), answer.headers.get("Retry-After"));
    return answer;
  });
}

const post = (path, body) => ask(path, { method: "POST", body: JSON.stringify(body) });

// The server's model: its `id`, and whether there are `speakers`.
export async function theModel() {
  return (await (await ask("v1/models")).json()).data[0];
}

export async function rendered(transcript, format) {
  return (await post("v1/render", { ...transcript.sent(), response_format: format })).text();
}

export async function scored(reference, hypothesis, rules) {
  return (await post("v1/score", { reference, hypothesis, rules })).json();
}

export async function inspected(file, words, signal) {
  const form = new FormData();
  if (words) form.append("prompt", words);
  form.append("file", file, file.name);
  return (await ask("v1/inspect", { method: "POST", body: form, signal })).text();
}

// A socket for live text. It gets a key that ends soon, for addresses and protocols are written into logs.
export async function liveSocket(rate) {
  const place = address(`v1/realtime?rate=${rate}&provisional=true&accept_language=${language}`);
  place.protocol = place.protocol.replace("http", "ws");
  if (!key) return new WebSocket(place, ["realtime"]);
  const lent = await (await post("v1/realtime/client_secrets", {})).json();
  return new WebSocket(place, ["realtime", `openai-insecure-api-key.${lent.value}`]);
}

// The answer of `verbose_json` for a recording, given words to listen for and who speaks ("" where that is not asked). `told` hears of what happens meanwhile: sent (share), or text and end (seconds).
export function transcribed(file, { words, speakers }, told, signal) {
  const form = new FormData();
  const fields = [["response_format", "verbose_json"], ["stream", "true"], ["include[]", "logprobs"], ["prompt", words],
    ["speakers", speakers]];
  for (const [name, value] of fields) form.append(name, value);
  for (const one of ["segment", "word"]) form.append("timestamp_granularities[]", one);
  form.append("file", file, file.name);
  return withKey(() => streamed(form, told, signal));
}

// By XMLHttpRequest: fetch does not tell how much has been sent.
function streamed(form, told, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let read = 0;
    function readEvents() {
      let end;
      while (request.status === 200 && (end = request.responseText.indexOf("\n\n", read)) >= 0) {
        const data = request.responseText.slice(read, end).split("\ndata: ")[1];
        read = end + 2;
        const event = JSON.parse(data);
        if (event.type === "transcript.text.delta") told({ text: event.delta, end: event.end });
        else if (event.type === "transcript.text.done") resolve(event);
        else if (event.type === "error") reject(new Refused(event.error.message, 500));
      }
    }
    request.open("POST", address("v1/audio/transcriptions"));
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => told({ sent: event.total ? event.loaded / event.total : 0 });
    request.upload.onload = () => told({ sent: 1 });
    request.onprogress = readEvents;
    request.onload = () => {
      readEvents();
      reject(request.status === 200 ? new Refused(t("lost"))
        : refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Refused(t("lost")));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) request.abort();
    request.send(form);
  });
}
