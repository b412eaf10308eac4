"""What `asr` offers: its names, how they are called, that they are described, and that type checkers know them."""

import ast
import dataclasses
import inspect
import os
import pickle
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
import soundfile

import asr
from tests.conftest import ROOT
from tests.fixtures.typing import right
from tests.sounds import speech

PUBLIC = """
load(model='', device='auto', *, beam=None, decode=None, quantize='none', hotwords=None, lm=None, vad=None)
transcribe(audio, model='', device='auto', *, track=None)
align(audio, text, model='', device='auto')
evaluate(decoding, manifest, *, out=None, by=(), swap_audio=False, force=False, say=…)
finish(transcript, finishing)
punctuate(text)
render(transcript, format='txt', style=None)
write(transcript, path, format='', style=None)
Transcriber
    align(audio, text, by='auto')
    changed(*, beam=None, decode=None, hotwords=None)
    iter_segments(audio, split=False, *, track=None, cancelled=…)
    listening_for(words)
    open(audio, split=False, name=None, *, track=None, speakers=None)
    stream(recordings, cancelled=…, together=None)
    telling_speakers(speakers)
    transcribe(audio, split=False, *, track=None, cancelled=…, speakers=None)
    transcribe_all(audios, split=False, *, track=None, cancelled=…, speakers=None)
    transcript(recording)
Decoding(model, settings, lm, hotwords, device, quantize)
DecodeConfig(beam, nbest, rule, length_power, gnmt_length, length_bonus, eos_threshold, temperature, candidates,
        ctc_weight, lm_weight, large_lm_weight, hotword_weight, hotword_margin, correct_names, reverse_weight, coverage_weight,
        stop_loops, redecode, max_chars_per_second, never_written, no_speech, window, batch_seconds, batch_recordings)
    given()
    max_tokens(seconds)
    rank(total, n_tokens)
    total(rank, n_tokens)
Transcript(audio, duration, segments, model, warnings, settings, id, turns)
    all_warnings
    by_channel()
    by_talker()
    overlaps
    speakers
    text
Segment(start, end, tokens, raw, score, warnings, hotwords, channel, corrections, no_speech)
    confidence
    speaker
    talker
    text
TranscriptToken(text, start, end, confidence, source, mark, speaker)
Turn(start, end, speaker)
Speakers(fewest, most, voices)
Finishing(script, numbers, punctuate, style)
Style(line_characters, lines, characters_per_second, words, min_confidence, longest, end_marks, word_times, txt_lines)
    timed
char_errors(reference, hypothesis, unit='char', rules=None)
CharErrors(substitutions, deletions, insertions, reference)
    cer
    line(name='CER')
    total
score_files(reference, hypothesis, unit='char', rules=None, *, ids=None, utt2spk=None, say=…)
Score(utterances, unit, rules, changed, dropped, hints, missing, extra, depth, name)
    cer
    errors
    interval
    languages
    lines()
    notes()
    oracle
    rate_name
    wrong_sentences
score_speakers(reference, hypothesis, unit='char', rules=None, *, collar=0.25, say=…)
SpeakerScore(name, recordings, collar, unit)
    collared
    exact
    lines()
    rate_name
    recording_lines()
    text
    to_json()
compare_files(reference, a, b, unit='char', *, rules=None, ids=None, utt2spk=None, say=…)
Comparison(a, b)
    changes()
    difference
    lines()
AsrError
AudioError
__version__
"""


def called(function) -> str:
    """How a function is called: its parameters without types, and their defaults where these are plain."""
    parameters, by_name = [], False
    for name, p in inspect.signature(function).parameters.items():
        if p.kind is p.KEYWORD_ONLY and not by_name:
            parameters.append("*")
            by_name = True
        plain = p.default is None or p.default == () or isinstance(p.default, str | bool | float)
        default = "" if p.default is p.empty else f"={p.default!r}" if plain else "=…"
        parameters += [f"{name}{default}"] if name != "self" else []
    return f"({', '.join(parameters)})"


def listed(name: str) -> list[str]:
    """A public name, how it is called, and what it has in its turn."""
    public = getattr(asr, name)
    if not inspect.isclass(public):
        return [name + called(public) if callable(public) else name]
    fields = [field.name for field in dataclasses.fields(public)] if dataclasses.is_dataclass(public) else []
    members = {n: m for c in reversed(public.__mro__) if c.__module__.startswith("asr.") for n, m in vars(c).items()}
    inside = [
        n + (called(member) if callable(member) else "")
        for n, member in sorted(members.items())
        if not n.startswith("_") and n not in fields
    ]
    return [f"{name}({', '.join(fields)})" if fields else name, *(f"    {line}" for line in inside)]


def test_public_names_and_how_they_are_called():
    found = [line for name in asr.__all__ for line in listed(name)]
    assert "\n".join(found) == re.sub(r",\n +", ", ", PUBLIC).strip()


def test_names_have_one_home_each():
    """Python, type checkers and `from asr import *` know the same ones."""
    source = ast.parse((ROOT / "asr/__init__.py").read_text(encoding="utf-8"))
    typed = next(node for node in source.body if isinstance(node, ast.If))
    homes = {alias.name: node.module for node in typed.body for alias in node.names}
    assert homes == asr._HOMES and set(asr.__all__) == {*homes, "__version__"} and len(asr.__all__) == len(homes) + 1
    assert all(getattr(import_module(home), name) is getattr(asr, name) for name, home in homes.items())
    assert dir(asr) == sorted(asr.__all__)
    with pytest.raises(AttributeError, match="module 'asr' has no attribute 'nothing'"):
        asr.nothing  # noqa: B018


@pytest.mark.parametrize("name", [name for name in asr.__all__ if name != "__version__"])
def test_all_of_it_is_described_and_typed(name):
    public = getattr(asr, name)
    members = [m for n, m in vars(public).items() if not n.startswith("_")] if inspect.isclass(public) else []
    functions = [m.fget if isinstance(m, property) else m for m in members if callable(m) or isinstance(m, property)]
    functions += [public] if inspect.isfunction(public) else []
    for one in [public, *functions]:
        assert one.__doc__ or issubclass(one, asr.AsrError), one
    for function in functions:
        signature = inspect.signature(function)
        untyped = [p for p in signature.parameters.values() if p.name != "self" and p.annotation is p.empty]
        assert not untyped and signature.return_annotation is not signature.empty, function


def test_a_program_of_a_user_runs(model, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", speech(2.0), 16000)
    (tmp_path / "a.txt").write_text("今天天气", encoding="utf-8")
    (tmp_path / "b.wav").write_bytes(b"no audio")
    assert right.main(tmp_path, str(model)) >= 0.0
    out = capsys.readouterr().out
    assert "b.wav: " in out and "00:00:0" in out


def checked(*command: str | os.PathLike, **environment: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def errors_of(output: str, name: str) -> set[int]:
    return {int(line) for line in re.findall(rf"{name}:(\d+):.*error", output)}


RIGHT, WRONG = ROOT / "tests/fixtures/typing/right.py", ROOT / "tests/fixtures/typing/wrong.py"
EXPECTED = {n for n, line in enumerate(WRONG.read_text(encoding="utf-8").splitlines(), 1) if "# error" in line}


def test_mypy_knows_the_types(tmp_path):
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        f"[mypy]\nstrict = true\ncache_dir = {tmp_path}\n[mypy-torch.*]\nfollow_imports = skip\n"  # a minute otherwise
        "[mypy-asr.*]\nignore_errors = true\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", settings, RIGHT, WRONG]
    output = checked(*command, MYPYPATH=str(ROOT))
    assert errors_of(output, "right.py") == set() and errors_of(output, "wrong.py") == EXPECTED, output


def test_pyright_knows_the_types():
    if shutil.which("pyright") is None:
        pytest.skip("pyright is not installed (npm install -g pyright)")
    output = checked("pyright", "--pythonpath", sys.executable, RIGHT, WRONG)
    assert errors_of(output, "right.py") == set() and errors_of(output, "wrong.py") == EXPECTED, output


def test_that_there_are_types_is_installed_too():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"]["asr"]
    assert (ROOT / "asr/py.typed").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decode": {"lm_weight": 0.5}}, "decode lm_weight=0.5: changes nothing, there is no language model"),
        ({"hotwords": ["龘龘"]}, "hot words with characters that the model cannot write are left out: 龘龘"),
    ],
)
def test_what_changes_nothing_is_told(model, given, message):
    with pytest.warns(UserWarning, match=message):
        asr.load(model, "cpu", **given)


def test_every_format_as_a_text(tmp_path):
    from asr.outputs.writers import WRITERS

    (tmp_path / "a.wav").touch()
    token = asr.TranscriptToken("好", 0.1, 0.4, 0.5, (0, 0))
    transcript = asr.Transcript(str(tmp_path / "a.wav"), 1.0, (asr.Segment(0.0, 1.0, (token,), "好"),), "m")
    assert asr.render(transcript) == "好\n"
    assert asr.render(transcript, "srt").splitlines()[2] == "好" and asr.render(transcript, "SRT", asr.Style(lines=1))
    for format, writer in ((name, writer) for name, writer in WRITERS.items() if name != "rttm"):  # which holds no text
        path = tmp_path / f"a{writer.suffix}"
        asr.write(transcript, path, format)
        text = asr.render(transcript, format)
        assert "好" in text and path.read_text(encoding="utf-8") == text
    with pytest.raises(asr.AsrError, match="^the format must be one of txt, .*, is doc$"):
        asr.render(transcript, "doc")
    with pytest.raises(asr.AsrError, match="a.doc: the format must be one of .*, is not told by its name$"):
        asr.write(transcript, tmp_path / "a.doc")


def test_what_is_printed_is_what_was_said(model):
    transcript = asr.load(model, "cpu", beam=2).transcribe((speech(2.0), 16000))
    assert f"{transcript}" == transcript.text == "".join(map(str, transcript.segments)) != ""
    assert repr(asr.load(model, "cpu", beam=2)) == "<Transcriber: tiny on cpu, beam 2>"


def wrong_calls(model, folder):
    loaded = asr.load(model, "cpu")
    (folder / "text.txt").touch()
    audio = (speech(1.0), 16000)
    yield (
        lambda: next(loaded.transcribe_all("a.wav")),
        "a.wav: is one recording, which transcribe takes; transcribe_all",
    )
    yield lambda: loaded.align(audio, "今天", by="foo"), "by must be one of auto, ctc, attention, is 'foo'"
    yield (
        lambda: loaded.align(audio, None),
        "the text to align must be a text, or the Path of a file of it, is NoneType",
    )
    yield (
        lambda: loaded.align(audio, str(folder / "text.txt")),
        "text.txt: is the text to align, and there is a file called",
    )
    yield lambda: asr.render("text", "srt"), "what is written is a Transcript, such as transcribe returns, not a str"
    yield lambda: asr.evaluate(loaded, "a.jsonl"), "a model is given by its path or its name, not by a Transcriber"
    yield lambda: asr.load(model, hotwords=5), "hotwords must be a list of words, or a file of them, is 5"
    yield lambda: asr.load(model, hotwords=[5]), "must be a word, is '5'"
    yield (
        lambda: asr.load(model, hotwords=[("今", "much")]),
        r"hotwords\[0\]: a weight must be from -100 to 100, is 'much'",
    )


def test_wrong_calls_are_told_what_is_wrong(model, tmp_path):
    for call, message in wrong_calls(model, tmp_path):
        with pytest.raises(asr.AsrError, match=message):
            call()


def test_hot_words_in_every_form(model, tokenizer, tmp_path):
    word, path = tokenizer.table.tokens[-1], tmp_path / "words.txt"
    path.write_text(word, encoding="utf-8")
    for given in (word, [word], (word,), {word}, {word: 2.0}, [(word, 2.0)], iter([word]), path, str(path)):
        loaded = pickle.loads(pickle.dumps(asr.load(model, "cpu", hotwords=given)))
        hot = loaded.recognizer.hotwords
        assert set(hot.words.values()) == {word} and set(hot.weights.values()) == {2.0}
