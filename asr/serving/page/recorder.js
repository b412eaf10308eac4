// A button that records.

import { NoMicrophone, microphone, wav } from "./microphone.js";
import { $, make } from "./dom.js";
import { language, say, t, time } from "./words.js";

// `take` gets a file each time; longest: seconds after which it stops by itself.
export function recorder(button, level, take, longest = Infinity) {
  const text = button.querySelector("[data-t]");
  let source = null;
  let busy = false;

  async function start() {
    notice("");
    const parts = [];
    let bytes = 0;
    source = await microphone({
      take: (samples) => {
        parts.push(samples);
        bytes += samples.byteLength;
        const seconds = bytes / 2 / (source?.rate ?? 16000);
        say(text, "stop_recording", { time: time(seconds) });
        if (seconds >= longest) stop();
      },
      loud: (loudest) => { level.value = loudest; },
      gone: (message) => { notice(message); stop(); },
    });
    source.parts = parts;
    level.hidden = false;
    button.classList.add("on");
    say(text, "stop_recording", { time: time(0) });
  }

  async function stop() {
    if (!source) return;
    const ended = source;
    source = null;
    await ended.stop();
    level.hidden = true;
    button.classList.remove("on");
    say(text, "record");
    if (ended.parts.length) take(fileOf(wav(ended.parts, ended.rate), "recording_name"));
  }

  button.addEventListener("click", async () => {
    if (busy) return;
    busy = true;
    try {
      await (source ? stop() : start());
    } catch (error) {
      if (!(error instanceof NoMicrophone)) throw error;
      notice(error.message);
    } finally {
      busy = false;
    }
  });
}

// A recording of now, as a file.
export function fileOf(blob, key) {
  const now = new Date().toLocaleString(language === "zh" ? "zh-CN" : "en-CA", { dateStyle: "short", timeStyle: "medium", hour12: false });
  return new File([blob], `${t(key)} ${now.replace(/[/,:]/g, (sign) => ({ "/": "-", ",": "", ":": "." })[sign])}.wav`, { type: "audio/wav" });
}

// What the person should know, above everything else; empty for nothing.
export function notice(message) {
  $("notice").replaceChildren(...(message ? [make("span", {}, message)] : []));
  $("notice").hidden = !message;
}
