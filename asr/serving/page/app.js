// The page as a whole: its tabs, its language, light or dark, and the server's key.

import { changeKey, hasKey, inWords, onKeyWanted, theModel } from "./api.js";
import { $ } from "./dom.js";
import { offerPeople } from "./people.js";
import { notice } from "./recorder.js";
import { language, remember, remembered, say, speak } from "./words.js";
import "./inspect.js";
import "./live.js";
import "./recordings.js";

const THEMES = ["auto", "light", "dark"];
const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab) {
  for (const one of tabs) {
    one.setAttribute("aria-selected", one === tab);
    one.tabIndex = one === tab ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = one !== tab;
  }
}

tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[key];
    if (to === undefined) return;
    const next = tabs.at(to % tabs.length);
    next.focus();
    next.click();
  });
});

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  say($("theme"), `theme_${theme}`);
}

$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  remember("theme", next);
  paint(next);
});
$("language").addEventListener("click", () => {
  speak(language === "zh" ? "en" : "zh");
  remember("language", language);
});

// Asks for the server's key; null where the person has none.
function keyFromPerson(wrong) {
  const dialog = $("key-dialog");
  $("key").value = "";
  $("key-wrong").hidden = !wrong;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = $("key").value.trim();
      $("key").value = "";
      resolve(dialog.returnValue === "ok" && given ? given : null);
    }, { once: true });
  });
}

async function greet() {
  try {
    const { id, speakers } = await theModel();
    say($("model"), "model", { name: id });
    offerPeople(speakers);
    notice("");
  } catch (error) {
    notice(inWords(error));
  }
  $("change-key").hidden = !hasKey() && $("model").textContent !== "";
}

$("change-key").addEventListener("click", async () => { if (await changeKey()) greet(); });
onKeyWanted(keyFromPerson);
speak();
paint(THEMES.includes(remembered("theme")) ? remembered("theme") : "auto");
greet();
