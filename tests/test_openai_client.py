"""OpenAI's own package against a running server: each parameter that it documents."""

import io
import re

import numpy as np
import pytest
import soundfile

from asr.serving.settings import ServerSettings
from tests.conftest import ROOT
from tests.serving import Nobody, running
from tests.sounds import silence

openai = pytest.importorskip("openai")
pytest.importorskip("starlette")
SAMPLE = ROOT / "data/sample/weather.flac"


def client_of(port: int, key: str = "any"):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def transcriber():
    import asr

    return asr.load("embedded", "cpu", beam=2)


@pytest.fixture(scope="module")
def client(transcriber):
    """Of a server with the embedded model."""
    with running(transcriber=transcriber) as (port, _):
        yield client_of(port)


@pytest.fixture(scope="module")
def quick():
    """Of a server without a model."""
    with running() as (port, _):
        yield client_of(port)


@pytest.fixture(scope="module")
def text(client) -> str:
    return client.audio.transcriptions.create(file=SAMPLE, model="whisper-1").text


def test_text_in_the_formats_of_the_client(client, text):
    create = client.audio.transcriptions.create
    assert re.fullmatch("[\u4e00-\u9fff]+", text)
    assert create(file=SAMPLE, model="gpt-transcribe", response_format="text") == text + "\n"
    assert create(file=SAMPLE, model="gpt-transcribe", response_format="srt").startswith("1\n00:00:00,")
    assert create(file=("a.flac", SAMPLE.read_bytes()), model="x", response_format="vtt").startswith("WEBVTT\n")


def test_verbose_json_has_all_that_the_client_knows(client, text, transcriber):
    """The client builds objects of what it gets without a look; a strict look at them finds nothing missing."""
    create, tokenizer = client.audio.transcriptions.create, transcriber.loaded.tokenizer
    verbose = create(
        file=SAMPLE, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    type(verbose).model_validate(verbose.model_dump(), strict=True)
    assert verbose.text == text == "".join(word.word for word in verbose.words)
    assert verbose.text == "".join(segment.text for segment in verbose.segments)
    assert verbose.duration == verbose.usage.seconds == pytest.approx(3.2, abs=0.1)
    [segment] = verbose.segments
    assert tokenizer.decode(segment.tokens) == text and segment.seek == int(100 * segment.start)
    assert all(0 <= word.start <= word.end <= verbose.duration for word in verbose.words)
    words = create(file=SAMPLE, model="x", response_format="verbose_json", timestamp_granularities=["word"])
    assert words.segments is None and words.words == verbose.words
    plain = create(file=SAMPLE, model="x", response_format="verbose_json")
    assert plain.words is None and plain.segments == verbose.segments


def test_text_as_it_is_found(client, text):
    """Deltas joined are the text, the first of them comes before all has been transcribed."""
    recording = io.BytesIO()
    spoken = soundfile.read(SAMPLE, dtype="float32")[0]
    soundfile.write(recording, np.tile(np.concatenate([spoken, silence(1.5)]), 4), 16000, format="WAV")
    whole = client.audio.transcriptions.create(file=("a.wav", recording.getvalue()), model="x").text
    stream = client.audio.transcriptions.create(
        file=("a.wav", recording.getvalue()), model="gpt-transcribe", stream=True, include=["logprobs"]
    )
    *deltas, done = stream
    assert {event.type for event in deltas} == {"transcript.text.delta"} and done.type == "transcript.text.done"
    for event in [*deltas, done]:
        type(event).model_validate(event.model_dump(), strict=True)
    assert "".join(event.delta for event in deltas) == done.text == whole and len(deltas) > 1
    assert [one.token for event in deltas for one in event.logprobs] == [one.token for one in done.logprobs]


def test_a_prompt_is_hot_words_and_that_is_said(client, text):
    raw = client.audio.transcriptions.with_raw_response.create(
        file=SAMPLE, model="x", prompt="天汽", keywords=["苏轼"], response_format="verbose_json"
    )
    assert raw.headers["x-hotwords"] == "%E8%8B%8F%E8%BD%BC,%E5%A4%A9%E6%B1%BD"
    assert raw.parse().model_extra["hotwords"] == ["苏轼", "天汽"]


def test_every_documented_parameter(quick):
    raw = quick.audio.transcriptions.with_raw_response.create(
        file=SAMPLE,
        model="gpt-transcribe",
        chunking_strategy={"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 400, "prefix_padding_ms": 9},
        include=["logprobs"],
        keywords=["你好", "你是"],
        language="zh",
        languages=["zh", "en"],
        prompt="好吗",
        response_format="json",
        stream=False,
        temperature=0.5,
        timestamp_granularities=["word"],
        extra_body={"people": 2, "hot_words": ["a", "b"]},
        extra_headers={"X-Mine": "1"},
        extra_query={"mine": 1},
        timeout=30,
    )
    answer = raw.parse()
    assert answer.text == "好" and answer.logprobs[0].token == "好" and answer.logprobs[0].logprob == -0.1054
    for noted in (
        "'people'",
        "'hot_words'",
        "temperature",
        "timestamp_granularities",
        "chunking_strategy",
        "cannot write",
    ):
        assert noted in raw.headers["warning"], noted
    assert raw.headers["x-hotwords"] == "%E4%BD%A0%E5%A5%BD,%E5%A5%BD%E5%90%97"
    auto = quick.audio.transcriptions.with_raw_response.create(file=SAMPLE, model="x", chunking_strategy="auto")
    assert "warning" not in auto.headers and "x-hotwords" not in auto.headers


def test_what_the_server_does_not_do_is_refused(quick):
    for asked, field in (
        ({"language": "en"}, "language"),
        ({"languages": ["en", "ja"]}, "languages"),
        ({"response_format": "ass"}, "response_format"),
        ({"temperature": 3}, "temperature"),
        ({"timestamp_granularities": ["phone"]}, "timestamp_granularities"),
        ({"stream": True, "response_format": "srt"}, "stream"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            quick.audio.transcriptions.create(file=SAMPLE, model="x", **asked)
        assert refused.value.param == field


def test_what_fails_before_the_first_text_has_its_status():
    with running(ServerSettings(key="secret")) as (port, _):
        with pytest.raises(openai.AuthenticationError):
            client_of(port, "wrong").audio.transcriptions.create(file=SAMPLE, model="x")
        models = client_of(port, "secret").models
        assert models.retrieve("nobody") == models.list().data[0] and models.list().data[0].id == "nobody"
        with pytest.raises(openai.NotFoundError, match="the only one is 'nobody'"):
            models.retrieve("whisper-1")


def test_what_fails_in_the_middle_of_a_stream_is_an_event(client, monkeypatch):
    with pytest.raises(openai.BadRequestError, match="not recognised as audio"):
        client.audio.transcriptions.create(file=("a.wav", b"no audio" * 99), model="x", stream=True)

    class Failing(Nobody):
        def stream(self, recordings, cancelled, together):
            yield recordings[0], self.transcript(recordings[0]).segments[0]
            raise ZeroDivisionError("what")

    monkeypatch.setattr("asr.serving.scheduler.SLICE", 0.0)
    with running(transcriber=Failing()) as (port, said):
        stream = client_of(port).audio.transcriptions.create(file=SAMPLE, model="x", stream=True)
        assert next(stream).delta == "好"
        with pytest.raises(openai.APIError, match=r"the server failed \(ZeroDivisionError\), its log says where"):
            next(stream)
        asking = client_of(port).audio.transcriptions
        stream = asking.create(file=SAMPLE, model="x", stream=True, extra_headers={"Accept-Language": "zh"})
        assert next(stream).delta == "好"
        with pytest.raises(openai.APIError, match="服务器出错了（ZeroDivisionError），出错的位置见服务器的日志"):
            next(stream)
    assert any("ZeroDivisionError in test_openai_client" in line for line in said)
