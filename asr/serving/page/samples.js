// In the browser's audio thread: what a microphone gives, as 16-bit samples, a tenth of a second at a time.

class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.begin();
    this.going = true;
    this.port.onmessage = () => {
      this.send(true);
      this.going = false;
    };
  }

  begin() {
    this.samples = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
    this.loudest = 0;
  }

  process([channels]) {
    const length = this.going ? channels[0]?.length ?? 0 : 0;
    for (let i = 0; i < length; i += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      const value = Math.max(-1, Math.min(1, sum / channels.length));
      this.loudest = Math.max(this.loudest, Math.abs(value));
      this.samples[this.filled++] = Math.round(value * 32767);
      if (this.filled === this.samples.length) this.send(false);
    }
    return this.going;
  }

  send(last) {
    const samples = this.samples.slice(0, this.filled).buffer;
    this.port.postMessage({ samples, loudest: this.loudest, last }, [samples]);
    this.begin();
  }
}

registerProcessor("samples", Samples);
