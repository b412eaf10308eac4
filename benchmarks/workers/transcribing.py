"""Recordings as texts by one program: `python transcribing.py PROGRAM MODEL VARIANT THREADS`, a path a line on stdin.

PROGRAM: ours (one recording after the other), together (ours, all of them in one go), greedy (ours, the decoder alone, one
hypothesis, a recording as it is, in the whole window of a model that has one: what sherpa-onnx does), sherpa (MODEL: a folder
that `asr model export --format onnx` made; VARIANT unshifted: without half a shift of silence in front), onnx (ours on ONNX
Runtime, MODEL: such a folder; VARIANT greedy: as the program greedy), paraformer, sensevoice (MODEL: a folder that sherpa-onnx
publishes) or faster-whisper; VARIANT: float32 or int8, of ours with @30 behind it for `window` 30. Prints JSON: the texts in
order, seconds of wall clock and of CPU to start and to transcribe, and the most memory that the process took, in MB.
"""

import json
import resource
import sys
import time
from pathlib import Path

WHOLE_WINDOW = 30.0
"""Seconds of Whisper's; other models have none, and do not heed it."""

here = sys.path.pop(0)
program, model, variant, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def opened():
    sys.path.insert(0, str(Path(here).parents[1]))
    import torch

    from asr.transcription.transcriber import load

    torch.set_num_threads(threads)
    precision, _, window = variant.partition("@")
    decode = {"window": window if window == "auto" else float(window)} if window else {}
    return load(model, "cpu", decode=decode, quantize="none" if precision == "float32" else precision)


def ours():
    transcriber = opened()
    return lambda path: transcriber.transcribe(path).text


def together():
    """Of all recordings, as `asr transcribe FOLDER` takes them: several at once."""
    transcriber = opened()
    return lambda paths: [found.text for _, found in transcriber.transcribe_all(paths)]


def greedy():
    sys.path.insert(0, str(Path(here).parents[1]))
    import soundfile
    import torch

    from asr.catalogue.opening import Decoding, open_decoding

    torch.set_num_threads(threads)
    settings = {"beam": 1, "ctc_weight": 0.0, "stop_loops": False, "redecode": False, "window": WHOLE_WINDOW}
    opened = open_decoding(Decoding(model, settings, lm="none", quantize="none" if variant == "float32" else variant))
    recognizer = opened.recognizer()
    return lambda path: recognizer.recognize([soundfile.read(path, dtype="float32")[0]])[0][0].text


def onnx():
    sys.path.insert(0, str(Path(here).parents[1]))
    import soundfile

    from asr.transcription.exported import Exported

    if variant != "greedy":
        exported = Exported(model, threads=threads).load()
        return lambda path: exported.transcribe(path).text
    decode = ["ctc_weight=0", "stop_loops=false", "redecode=false", f"window={WHOLE_WINDOW}"]
    recognizer = Exported(model, decode, beam=1, lm="none", threads=threads).load().recognizer
    return lambda path: recognizer.recognize([soundfile.read(path, dtype="float32")[0]])[0][0].text


def sherpa():
    import sherpa_onnx

    files = {name: str(path) for path in Path(model).iterdir() for name in ("encoder", "decoder", "tokens")
             if name in path.name and path.suffix in (".onnx", ".txt")}  # fmt: skip
    whisper = Path(files["tokens"]).name != "tokens.txt"
    more = {"tail_paddings": 1} if whisper else {}
    load = sherpa_onnx.OfflineRecognizer
    recognizer = (load.from_whisper if whisper else load.from_fire_red_asr)(num_threads=threads, **files, **more)
    return by_sherpa(recognizer, shifted=whisper and variant != "unshifted")


def one_graph():
    """Paraformer or SenseVoice: a file that is the whole network."""
    import sherpa_onnx

    wanted = Path(model) / ("model.int8.onnx" if variant == "int8" else "model.onnx")
    files = [wanted, Path(model) / "tokens.txt"]
    if missing := [file.name for file in files if not file.is_file()]:
        raise SystemExit(f"{model}: has no {' and no '.join(missing)}")
    graph, tokens = map(str, files)
    load = sherpa_onnx.OfflineRecognizer
    if program == "paraformer":
        return by_sherpa(load.from_paraformer(graph, tokens, num_threads=threads))
    return by_sherpa(load.from_sense_voice(graph, tokens, num_threads=threads, language="zh", use_itn=False))


def by_sherpa(recognizer, shifted=False):
    """Decodes a recording as it is; shifted: by half the distance of frames, where its frames lie so far behind ours."""
    import numpy
    import soundfile

    def transcribe(path: str) -> str:
        stream = recognizer.create_stream()
        samples, rate = soundfile.read(path, dtype="float32")
        if shifted:
            samples = numpy.concatenate([numpy.zeros(rate // 200, numpy.float32), samples])
        stream.accept_waveform(rate, samples)
        recognizer.decode_stream(stream)
        return stream.result.text.strip()

    return transcribe


def faster_whisper():
    from faster_whisper import WhisperModel

    network = WhisperModel(model, device="cpu", compute_type=variant, cpu_threads=threads)

    def transcribe(path: str) -> str:
        segments, _ = network.transcribe(path, language="zh", beam_size=5, vad_filter=True)
        return "".join(segment.text for segment in segments)

    return transcribe


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


started = (time.perf_counter(), 0.0)  # Python's own start took CPU time before
programs = {
    "ours": ours,
    "together": together,
    "greedy": greedy,
    "sherpa": sherpa,
    "onnx": onnx,
    "faster-whisper": faster_whisper,
}
transcribe = (programs | dict.fromkeys(("paraformer", "sensevoice"), one_graph))[program]()
ready = now()
paths = [line.strip() for line in sys.stdin]
texts = transcribe(paths) if program == "together" else [transcribe(path) for path in paths]
done = now()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)
times = {name: [b - a for a, b in zip(*ends, strict=True)] for name, ends in
         {"start": (started, ready), "transcribe": (ready, done)}.items()}  # fmt: skip
print(json.dumps({"texts": texts, "memory": memory, **times}))
