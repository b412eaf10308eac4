"""The page in a folder of ONNX files that says how it is used."""

from collections.abc import Sequence

from asr.exporting.form import Form


def page(name: str, forms: Sequence[Form], suffix: str, tokens: str) -> str:
    """It stands for itself. suffix: what names of files have before .onnx; tokens: the file of these."""
    loaders = []
    for form in forms:
        files = ", ".join(f'{argument}="{part}{suffix}.onnx"' for argument, part in form.files.items())
        files += f', tokens="{tokens}"{MORE.get(form.loader, "")}'
        loaders.append(f"{'# ' if loaders else ''}recognizer = sherpa_onnx.OfflineRecognizer.{form.loader}({files})")
    imports, front = ("import numpy\n", FRONT) if forms[0].loader == "from_whisper" else ("", "")
    return PAGE.format(name=name, loaders="\n".join(loaders), imports=imports, front=front)


MORE = {"from_whisper": ", tail_paddings=1"}
"""Loader → what else it is given: the graph itself puts silence behind a recording, and more would only take time."""
FRONT = """# sherpa-onnx puts the frames of Whisper's features half a shift, 5 ms, behind where the model was trained to find them
samples = numpy.concatenate([numpy.zeros(rate // 200, numpy.float32), samples])
"""
PAGE = """# {name}, for sherpa-onnx

`pip install sherpa-onnx soundfile`, and in this folder:

```python
{imports}import sherpa_onnx
import soundfile

{loaders}
samples, rate = soundfile.read("talk.wav", dtype="float32")
{front}stream = recognizer.create_stream()
stream.accept_waveform(rate, samples)
recognizer.decode_stream(stream)
print(stream.result.text)
```

The search is sherpa-onnx's greedy one. Long recordings are for its voice activity detection to cut.

`asr transcribe talk.wav --backend onnx --model FOLDER`, of the package mandarin-asr, searches the same files with a beam, cuts
recordings of any length and finds times; it takes asr.json, too, and needs no PyTorch. silero_vad.onnx, which finds speech, is of
https://github.com/snakers4/silero-vad, copyright Silero Team, MIT licence.
"""
"""Its text."""
