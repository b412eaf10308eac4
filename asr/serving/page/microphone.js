// The microphone as 16-bit samples.

import { t } from "./words.js";

const RATE = 16000; // what the model hears
const MOST = 48000; // what the server takes

export class NoMicrophone extends Error {}

const PROBLEMS = { NotAllowedError: "denied", NotFoundError: "no_microphone", SecurityError: "denied" };

// Listens until `stop` is called: `take` gets samples as ArrayBuffers, `loud` the loudest of them, `gone` hears when it is unplugged.
export async function microphone({ take, loud, gone }) {
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) throw new NoMicrophone(t("insecure"));
  let stream;
  try {
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new NoMicrophone(t(PROBLEMS[error.name] ?? "microphone_failed", { message: error.message }));
  }
  const release = () => stream.getTracks().forEach((track) => track.stop());
  try {
    const { context, source } = await contextOf(stream);
    const node = new AudioWorkletNode(context, "samples", { numberOfOutputs: 1 });
    let ended;
    const all = new Promise((resolve) => { ended = resolve; });
    node.port.onmessage = ({ data }) => {
      if (data.samples.byteLength) take(data.samples);
      loud(data.loudest);
      if (data.last) ended();
    };
    source.connect(node).connect(context.destination); // what it puts out is silence; without it nothing is asked for
    await context.resume();
    stream.getAudioTracks()[0].addEventListener("ended", () => gone(t("microphone_gone")));
    const stop = async () => {
      node.port.postMessage("stop");
      await Promise.race([all, new Promise((resolve) => { setTimeout(resolve, 1000); })]);
      release();
      await context.close();
    };
    return { rate: context.sampleRate, stop };
  } catch (error) {
    release();
    throw new NoMicrophone(t("microphone_failed", { message: error.message }));
  }
}

// A context at the rate of the model; where the browser does not bring the microphone to that, at the microphone's own.
async function contextOf(stream) {
  for (const sampleRate of [RATE, undefined, MOST]) {
    const context = new AudioContext(sampleRate ? { sampleRate } : {});
    try {
      if (context.sampleRate > MOST) throw new Error(`${context.sampleRate} Hz`);
      const source = context.createMediaStreamSource(stream);
      await context.audioWorklet.addModule(new URL("./samples.js", import.meta.url));
      return { context, source };
    } catch (error) {
      await context.close();
      if (sampleRate === MOST) throw error;
    }
  }
  return null;
}

// A WAV file of 16-bit samples.
export function wav(parts, rate) {
  const size = parts.reduce((sum, part) => sum + (part.byteLength ?? part.size), 0);
  const head = new DataView(new ArrayBuffer(44));
  const write = (at, text) => [...text].forEach((letter, i) => head.setUint8(at + i, letter.charCodeAt(0)));
  write(0, "RIFF");
  head.setUint32(4, 36 + size, true);
  write(8, "WAVEfmt ");
  [[16, 4], [1, 2], [1, 2], [rate, 4], [2 * rate, 4], [2, 2], [16, 2]].reduce((at, [value, bytes]) => {
    if (bytes === 4) head.setUint32(at, value, true);
    else head.setUint16(at, value, true);
    return at + bytes;
  }, 16);
  write(36, "data");
  head.setUint32(40, size, true);
  return new Blob([head, ...parts], { type: "audio/wav" });
}
