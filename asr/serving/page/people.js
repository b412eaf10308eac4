// Who speaks: whether that is asked of a recording, and what those are called who were told apart.

import { $, make } from "./dom.js";
import { call, say } from "./words.js";

const HOW_MANY = /^\d{1,3}\s*(?:[-–~]\s*\d{1,3})?$/;
const LONGEST_NAME = 60;

// What is to be asked: "" where nobody wants to know, "auto", or how many there are; null where what was typed is no number.
export function peopleAsked() {
  if ($("people").value !== "number") return $("people").value;
  const typed = $("people-number").value.normalize("NFKC").trim();
  return HOW_MANY.test(typed) ? typed : null;
}

// Tells whether the server can tell voices apart at all.
export function offerPeople(able) {
  $("people").disabled = !able;
  if (!able) $("people").value = "";
  $("people-missing").hidden = able;
  follow();
}

function follow() {
  $("how-many").hidden = $("people").value !== "number";
}

// Fields for the names of those who speak in a transcript; `changed` is called after each letter.
export function askForNames(transcript, changed) {
  $("names").hidden = !transcript.speakers.length;
  const caption = make("span", { class: "soft small", "aria-hidden": "true" });
  say(caption, "names");
  $("names").replaceChildren(caption, ...transcript.speakers.map((speaker) => {
    const field = make("input", { type: "text", maxlength: LONGEST_NAME, autocomplete: "off", spellcheck: "false" });
    field.value = transcript.names[speaker] ?? "";
    call(field, "name_of", { speaker });
    field.addEventListener("input", () => {
      transcript.names[speaker] = field.value.trim();
      changed();
    });
    return make("label", { class: "inline" }, speaker, field);
  }));
}

$("people").addEventListener("change", () => {
  follow();
  if (!$("how-many").hidden) $("people-number").focus();
});
follow(); // a browser may remember what was chosen before the page was opened anew
