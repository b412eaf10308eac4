// What happens inside, for a short clip: a page that the server makes, in a frame that can reach nothing.

import { inWords, inspected, stopped } from "./api.js";
import { $, make, save, takeFiles, withoutSuffix } from "./dom.js";
import { opened } from "./reader.js";
import { recorder } from "./recorder.js";
import { call, language, say } from "./words.js";

const LONGEST = 30; // seconds

let page = null;
let name = "";
let stop = null;

async function inspect(file) {
  if (!file) return;
  stop?.abort();
  const mine = stop = new AbortController();
  $("inspected").hidden = true;
  $("inspect-state").className = "";
  say($("inspect-state"), "inspecting");
  try {
    const html = await inspected(file, $("words").value, mine.signal);
    if (stop !== mine) return;
    [page, name] = [html, withoutSuffix(file.name)];
    say($("inspect-state"), "");
    show();
  } catch (error) {
    if (stopped(error) || stop !== mine) return;
    say($("inspect-state"), error.status === 404 ? "inspect_missing" : "");
    if (error.status !== 404) $("inspect-state").textContent = inWords(error);
    $("inspect-state").className = "wrong";
  }
}

function show() {
  const like = `${language},${document.documentElement.dataset.theme}`; // the page in it takes up language and theme
  const source = { src: new URL("frame.html", import.meta.url), name: like };
  const frame = make("iframe", { ...source, sandbox: "allow-scripts", allow: "fullscreen" });
  call(frame, "inspect_title", { name });
  addEventListener("message", function send(event) {
    if (event.source !== frame.contentWindow) return;
    removeEventListener("message", send);
    frame.contentWindow.postMessage(page, "*");
  });
  $("inspect-frame").replaceChildren(frame);
  $("inspected").hidden = false;
}

takeFiles($("clip-drop"), $("clip"), ([file]) => inspect(file));
recorder($("record-clip"), $("clip-level"), inspect, LONGEST);
$("inspect-open").addEventListener("click", () => inspect(opened()?.file));
$("tab-inspect").addEventListener("click", () => { $("inspect-open").hidden = !opened(); });
$("inspect-fill").addEventListener("click", () => $("inspect-frame").firstElementChild?.requestFullscreen());
$("inspect-save").addEventListener("click", () => save(new Blob([page], { type: "text/html" }), `${name}.html`));
