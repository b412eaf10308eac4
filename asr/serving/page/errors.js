// The share of errors of the text that is open, against what was really said. The server counts.

import { inWords, scored } from "./api.js";
import { $, make } from "./dom.js";
import { say, t } from "./words.js";

let job = null;

// The text to be compared from now on.
export function compareWith(opened) {
  if (job) job.reference = $("reference").value;
  job = opened;
  $("reference").value = job.reference ?? "";
  $("errors").replaceChildren();
}

async function count() {
  const mine = job;
  const rules = [$("rule-numbers").checked && "+numbers", $("rule-script").checked && "+script"].filter(Boolean).join(",");
  const reference = $("reference").value;
  if (!reference.trim()) return $("reference").focus();
  $("score").disabled = true;
  try {
    const { transcript } = job;
    const texts = transcript.edited ? { cer_recognised: transcript.original, cer_edited: transcript.text } : { "": transcript.text };
    const shown = [];
    let pairs = [];
    for (const [name, text] of Object.entries(texts)) {
      const result = await scored(reference, text, rules);
      shown.push(rate(result, name));
      pairs = result.pairs;
    }
    if (job === mine) $("errors").replaceChildren(...shown, note("cer_key"), aligned(pairs));
  } catch (error) {
    $("errors").replaceChildren(make("p", { class: "wrong" }, inWords(error)));
  }
  $("score").disabled = false;
  return undefined;
}

function note(key, fields) {
  const node = make("span", { class: "soft" });
  say(node, key, fields);
  return node;
}

function rate(result, name) {
  const number = make("b");
  if (result.cer === null) say(number, "cer_infinite");
  else say(number, "cer", { rate: (100 * result.cer).toFixed(2) });
  const counts = { s: result.substitutions, d: result.deletions, i: result.insertions, n: result.reference };
  return make("p", { class: "rate" }, number, " ", note("cer_counts", counts), ...(name ? [" · ", note(name)] : []));
}

// What was said above what is written; runs that are right are as they are.
function aligned(pairs) {
  const columns = pairs.flatMap((part) => {
    if (typeof part === "string") return [make("span", { class: "run" }, part)];
    const [said, written] = part;
    const kind = said && written ? "wrong" : said ? "missing" : "extra";
    return [make("span", { class: `pair ${kind}`, role: "img", "aria-label": t(kind, { said, written }) },
      make("span", {}, said || " "), make("span", {}, written || " "))];
  });
  return make("p", { class: "aligned", lang: "zh" }, ...columns);
}

$("score").addEventListener("click", count);
