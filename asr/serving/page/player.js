// Playback: a recording, a button, a slider, and who wants to know where it is.

import { $ } from "./dom.js";
import { call, time } from "./words.js";

export class Player {
  constructor(onmove) {
    this.onmove = onmove;
    this.audio = $("audio");
    this.asked = null; // seconds to go to once the recording can be played
    $("play").addEventListener("click", () => this.toggle());
    $("speed").addEventListener("change", (event) => { this.audio.playbackRate = Number(event.target.value); });
    $("seek").addEventListener("input", (event) => this.go(Number(event.target.value)));
    for (const event of ["play", "pause", "ended"]) this.audio.addEventListener(event, () => this.playing());
    for (const event of ["seeked", "timeupdate"]) this.audio.addEventListener(event, () => this.moved());
    this.audio.addEventListener("loadedmetadata", () => this.known());
    this.audio.addEventListener("error", () => { if (this.address) $("unplayable").hidden = false; });
  }

  open(file, duration) {
    this.close();
    this.duration = duration;
    this.address = URL.createObjectURL(file);
    this.audio.src = this.address;
    this.known();
    this.moved();
  }

  close() {
    this.audio.pause();
    this.asked = null;
    $("unplayable").hidden = true;
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
    this.audio.removeAttribute("src");
  }

  get seconds() {
    return this.asked ?? this.audio.currentTime;
  }

  go(seconds) {
    this.asked = this.audio.readyState ? null : seconds;
    if (this.audio.readyState) this.audio.currentTime = seconds;
    this.moved();
  }

  toggle() {
    if (this.audio.paused) this.audio.play().catch(() => { /* the reason is told by the event error */ });
    else this.audio.pause();
  }

  known() {
    if (this.asked !== null && this.audio.readyState) this.go(this.asked);
    this.audio.playbackRate = Number($("speed").value);
    const length = Number.isFinite(this.audio.duration) ? this.audio.duration : this.duration;
    $("seek").max = length;
    $("length").textContent = time(length);
  }

  playing() {
    $("player").classList.toggle("playing", !this.audio.paused);
    call($("play"), this.audio.paused ? "play" : "pause");
    const follow = () => {
      this.moved();
      if (!this.audio.paused) requestAnimationFrame(follow);
    };
    follow();
  }

  moved() {
    $("clock").textContent = time(this.seconds);
    $("seek").value = this.seconds;
    $("seek").setAttribute("aria-valuetext", time(this.seconds));
    this.onmove(this.seconds);
  }
}
