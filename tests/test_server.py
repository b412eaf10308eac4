"""`asr serve`, asked over HTTP as a client of OpenAI's would."""

import json
import math
import re
import signal
import sys
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile

from asr.errors import AsrError
from asr.serving.answers import answer_of, headers_of
from asr.serving.forms import FORMATS, Wanted, read_request
from asr.serving.refusals import BadRequest
from asr.serving.server import socket_at
from asr.transcript import Segment, Transcript, TranscriptToken
from tests import forked
from tests.conftest import ROOT

SAMPLE = ROOT / "data/sample/weather.flac"


@contextmanager
def running(program: Sequence[str] = ("-m", "asr")):
    """A server with the embedded model, and its address."""
    command = [sys.executable, *program, "serve", "--port", "0", "--beam", "2", "--punctuate", "--threads", "1"]
    process = forked.Popen(command, stderr=forked.PIPE, text=True)
    line = process.stderr.readline()
    try:
        assert (found := re.match(r"asr: embedded answers at (http://127.0.0.1:\d+)/v1/audio", line)), line
        yield process, found[1]
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def server():
    """The address of a server."""
    pytest.importorskip("starlette")
    with running() as (_, url):
        yield url


def ask(url: str, **fields: str | Path) -> tuple[int, str]:
    """Status and body of the answer; with fields, a form that is sent, files given as paths."""
    if not fields:
        request = urllib.request.Request(url)
    else:
        boundary, parts = uuid.uuid4().hex, []
        for name, value in fields.items():
            name, file = name.replace("__", "[]"), isinstance(value, Path)
            more = f'; filename="{value.name}"' if file else ""
            parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode())
            parts.append((value.read_bytes() if file else value.encode()) + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        request = urllib.request.Request(url, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_recording_is_transcribed_in_every_format(server):
    url = f"{server}/v1/audio/transcriptions"
    answers = {}
    for format in FORMATS:
        status, answers[format] = ask(url, file=SAMPLE, model="whisper-1", language="zh", response_format=format)
        assert status == 200
    text = json.loads(answers["json"])["text"]
    assert (
        text.endswith("。")
        and answers["text"] == text + "\n"
        and json.loads(ask(url, file=SAMPLE)[1]) == {"text": text}
    )
    assert answers["srt"].startswith("1\n00:00:00,") and answers["vtt"].startswith("WEBVTT\n")
    verbose = json.loads(answers["verbose_json"])
    assert verbose["text"] == text and "words" not in verbose and verbose["language"] == "chinese"
    timed = json.loads(ask(url, file=SAMPLE, response_format="verbose_json", timestamp_granularities__="word")[1])
    assert "".join(word["word"] for word in timed["words"]) == re.sub("[，。]", "", text)
    assert all(0 <= word["start"] <= word["end"] <= verbose["duration"] for word in timed["words"])


def test_what_is_no_recording_is_refused_by_its_name(server, tmp_path):
    bad = tmp_path / "notes.wav"
    bad.write_text("这不是录音\n" * 50)
    status, body = ask(f"{server}/v1/audio/transcriptions", file=bad)
    error = json.loads(body)["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", "file")
    assert error["message"].startswith("notes.wav: not recognised as audio")
    status, body = ask(f"{server}/v1/audio/transcriptions", model="whisper-1")
    assert status == 400 and "file must be an audio file" in json.loads(body)["error"]["message"]


def test_what_else_a_client_asks_for(server):
    assert json.loads(ask(f"{server}/v1/models")[1])["data"][0]["id"] == "embedded"
    assert json.loads(ask(f"{server}/health")[1]) == {"status": "ok", "model": "embedded"}
    status, body = ask(f"{server}/v1/chat/completions", file=SAMPLE)
    assert status == 404 and "recordings are sent to /v1/audio/transcriptions" in json.loads(body)["error"]["message"]
    status, body = ask(f"{server}/v1/audio/transcriptions", file=SAMPLE, stream=SAMPLE)
    assert status == 400 and json.loads(body)["error"]["param"] == "stream"


def test_requests_at_once_wait_for_each_other(server):
    with ThreadPoolExecutor(3) as pool:
        answers = set(pool.map(lambda _: ask(f"{server}/v1/audio/transcriptions", file=SAMPLE), range(3)))
    assert len(answers) == 1 and answers.pop()[0] == 200


def said_on_interrupt(recording: Path, program: Sequence[str] = ("-m", "asr")) -> str:
    """What a server that is interrupted while it transcribes says on stderr, once it has told the client that it ends."""
    pytest.importorskip("starlette")
    with running(program) as (process, url), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, f"{url}/v1/audio/transcriptions", file=recording)
        while not answer.done() and "\nasr_waiting 1.0\n" not in ask(f"{url}/metrics")[1]:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        status, body = answer.result()
    assert (status, json.loads(body)["error"]["message"]) == (503, "the server is about to end")
    return process.stderr.read()


def test_an_interrupt_ends_what_is_being_transcribed(tmp_path):
    long = tmp_path / "long.flac"
    soundfile.write(long, np.tile(soundfile.read(SAMPLE, dtype="float32")[0], 600), 16000)
    assert "Traceback" not in said_on_interrupt(long)


DEAF = """
import time, asr.serving.transcriptions
asr.serving.transcriptions.transcribe = lambda *given, **named: time.sleep(60)
from asr.cli import main
main()
"""


def test_what_cannot_be_interrupted_is_answered_too():
    assert "Traceback" not in said_on_interrupt(SAMPLE, ("-c", DEAF))


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            {"response_format": "docx"},
            "response_format must be one of json, text, verbose_json, diarized_json, srt, vtt, tsv, textgrid, rttm, is",
        ),
        ({"stream": object()}, "stream must be a text, not a file, in a form of the type multipart/form-data"),
        ({"language": "en"}, "language must be zh, is 'en': the model is for Mandarin"),
        ({"language": "yue"}, "language must be zh, is 'yue': the model is for Mandarin"),
        ({"languages[]": "ja"}, "languages must be zh, is 'ja': the model is for Mandarin"),
        ({"stream": "perhaps"}, "stream must be one of true, 1, false, 0, is 'perhaps'"),
        (
            {"stream": "true", "response_format": "srt"},
            "stream goes with response_format json, text, verbose_json, diarized_json, not",
        ),
        ({"temperature": "hot"}, "temperature must be a number from 0 to 1, is 'hot'"),
        ({"temperature": "1.5"}, "temperature must be a number from 0 to 1, is '1.5'"),
        ({"timestamp_granularities[]": "phone"}, "timestamp_granularities must be one of word, segment, is 'phone'"),
    ],
)
def test_requests_that_cannot_be_answered(fields, message):
    with pytest.raises(BadRequest, match=re.escape(message)):
        read_request([("file", object()), *fields.items()])


def test_requests_that_can():
    fields = [("file", object()), ("language", "zh-CN"), ("temperature", "0"), ("stream", "false")]
    fields += [("chunking_strategy", "auto"), ("languages[]", "en"), ("languages[]", "zh")]
    upload = fields[0][1]
    assert read_request(fields) == Wanted(upload)
    both = [("timestamp_granularities[]", "segment"), ("timestamp_granularities[]", "word")]
    verbose = ("response_format", "verbose_json")
    assert read_request([*fields, *both, verbose]) == Wanted(upload, "verbose_json", words=True)
    assert read_request([*fields, both[1], verbose]) == Wanted(upload, "verbose_json", words=True, segments=False)
    assert read_request([("file", upload), ("stream", "true"), ("include[]", "logprobs")]) == Wanted(
        upload, logprobs=True, stream=True
    )


def test_what_changes_nothing_is_said():
    fields = [("file", object()), ("people", "2"), ("people", "3"), ("temperature", "0.4"), ("include[]", "usage")]
    fields += [("chunking_strategy[type]", "server_vad"), ("timestamp_granularities[]", "word"), ("词", "1")]
    wanted = read_request(fields)
    assert wanted.notes == (
        "there is no field 'people'",
        "there is no field '词'",
        "include 'usage' is not known",
        "timestamp_granularities changes nothing: it goes with response_format verbose_json",
        "temperature changes nothing: nothing is drawn by chance",
        "chunking_strategy changes nothing: recordings are cut at pauses as the server's model needs it",
    )
    warning = headers_of(wanted)["Warning"]
    assert (
        warning.startswith("299 asr \"there is no field 'people'\", 299 asr \"there is no field '")
        and warning.isascii()
    )


@pytest.mark.parametrize(
    "prompt, words",
    [
        ("张晓明，李四、Hello Kitty", ("张晓明", "李四", "Hello Kitty")),
        ("张晓明 李四\n王五", ("张晓明", "李四", "王五")),
        ("会议由张晓明（主任）主持。", ("会议由张晓明", "主任", "主持")),
        ("GPT 4, node.js. 啊", ("GPT 4", "node.js")),
        ("", ()),
        ("的，了", ()),
        ("李四，李四", ("李四",)),
    ],
)
def test_a_prompt_is_hot_words(prompt, words):
    assert read_request([("file", object()), ("prompt", prompt)]) == Wanted(mock.ANY, hotwords=words)


def test_hot_words_are_told_and_bounded():
    wanted = read_request([("file", object()), ("prompt", "一" * 30 + "，李四"), ("keywords[]", "张三")])
    assert (
        wanted.hotwords == ("张三", "李四")
        and headers_of(wanted)["X-Hotwords"] == "%E5%BC%A0%E4%B8%89,%E6%9D%8E%E5%9B%9B"
    )
    assert wanted.notes[0].startswith("1 parts of prompt and keywords are too long for hot words, the first '一一")
    wanted = read_request([("file", object()), ("prompt", ",".join(f"word {n}" for n in range(300)))])
    assert len(wanted.hotwords) == 200 and len(headers_of(wanted)["X-Hotwords"]) <= 2000
    assert wanted.notes == ("prompt and keywords hold 300 hot words; only the first 200 are listened for",)
    wanted = read_request([("file", object()), ("prompt", "李四，" + "a" + " " * 200_000 + "b，张三")])
    assert wanted.hotwords == ("李四",) and wanted.notes == (
        "prompt has 200,008 characters; only the first 20,000 are read",
    )


def test_segments_of_an_answer_are_those_that_hold_text():
    token = TranscriptToken("好", 0.5, 0.75, 0.9, (0, 0))
    segments = (Segment(0.0, 0.4), Segment(0.4, 1.0, (token,), "好", -0.5, ("is faint",)))
    transcript = Transcript("a.wav", 1.5, segments, "m", ("clips",))
    wanted = Wanted(None, "verbose_json", words=True, hotwords=("好",), notes=("what",))
    answer = answer_of(transcript, wanted, lambda text: [ord(c) for c in text])
    assert answer["segments"] == [
        {
            "id": 0,
            "seek": 40,
            "start": 0.4,
            "end": 1.0,
            "text": "好",
            "tokens": [0x597D],
            "temperature": 0.0,
            "avg_logprob": round(math.log(0.9), 4),
            "compression_ratio": round(3 / len(zlib.compress("好".encode())), 4),
            "no_speech_prob": 0.0,
            "confidence": 0.9,
        }
    ]
    assert answer["words"] == [{"word": "好", "start": 0.5, "end": 0.75}]
    assert answer["warnings"] == ["clips", "is faint", "what"] and answer["duration"] == 1.5
    assert answer["hotwords"] == ["好"] and answer["usage"] == {"type": "duration", "seconds": 1.5}
    assert answer_of(transcript, Wanted(None, logprobs=True), list) == {
        "text": "好",
        "logprobs": [{"token": "好", "bytes": [229, 165, 189], "logprob": round(math.log(0.9), 4)}],
    }


def test_a_port_that_is_taken():
    with socket_at("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            AsrError, match=f"127.0.0.1:{port}: cannot be listened at .* choose another --host or --port"
        ):
            socket_at("127.0.0.1", port)
