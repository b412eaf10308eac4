"""Makes the clips in this folder: sentences spoken by espeak-ng, a speech synthesiser.

    python data/sample/make_sample.py [OUT]

Needs the program espeak-ng and the extra `text` (pypinyin). espeak-ng is given pinyin, because it reads characters wrongly.
"""

import io
import subprocess
import sys
from pathlib import Path

import soundfile
from pypinyin import Style, lazy_pinyin

from asr.audio.reading import SAMPLE_RATE, resample

SENTENCES = {
    "weather": "今天天气很好",
    "beijing": "他在北京上大学",
    "recognition": "语音识别",
}
WORDS_PER_MINUTE = 130


def main(out: Path = Path(__file__).parent) -> None:
    lines = []
    for name, text in SENTENCES.items():
        soundfile.write(out / f"{name}.flac", speak(text), SAMPLE_RATE, subtype="PCM_16")
        lines.append(f"{name} {text}\n")
    (out / "text").write_text("".join(lines), encoding="utf-8")


def speak(text: str):
    """The sentence as espeak-ng says it: (S,) at 16 kHz."""
    pinyin = " ".join(lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True))
    command = ["espeak-ng", "-v", "cmn-latn-pinyin", "-s", str(WORDS_PER_MINUTE), "--stdout", pinyin]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    return resample(*soundfile.read(io.BytesIO(wav), dtype="float32"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
