"""What the installed version of OpenAI's package can ask for, read off its own signatures and types: none of it is missed."""

import asyncio
import inspect
import typing

import pytest

from asr.transcription.transcriber import load
from tests.conftest import ROOT
from tests.serving import running

openai = pytest.importorskip("openai")
pytest.importorskip("starlette")
from openai.resources.audio.transcriptions import AsyncTranscriptions, Transcriptions  # noqa: E402
from openai.types.audio import transcription_create_params  # noqa: E402
from openai.types.realtime import (  # noqa: E402
    audio_transcription_param,
    realtime_transcription_session_audio_input_param,
    realtime_transcription_session_audio_input_turn_detection_param,
    realtime_transcription_session_create_request_param,
)

SAMPLE = ROOT / "data/sample/weather.flac"
ASKED = {
    "file": SAMPLE,
    "model": "gpt-transcribe",
    "chunking_strategy": {
        "type": "server_vad",
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "threshold": 0.5,
    },
    "include": ["logprobs"],
    "keywords": ["你好"],
    "known_speaker_names": ["agent"],
    "known_speaker_references": ["data:audio/wav;base64,AAAA"],
    "language": "zh",
    "languages": ["zh"],
    "prompt": "好吗",
    "response_format": "json",
    "stream": False,
    "temperature": 0.5,
    "timestamp_granularities": ["word"],
    "extra_headers": {"X-Mine": "1"},
    "extra_query": {"mine": "1"},
    "extra_body": {"mine": "1"},
    "timeout": 30,
}
"""A value for each parameter of `transcriptions.create`."""
WORDS = {
    "delay": "low",
    "keywords": ["你好"],
    "language": "zh",
    "languages": ["zh"],
    "model": "gpt-realtime-whisper",
    "prompt": "好吗",
}
INPUT = {"format": {"type": "audio/pcm", "rate": 24000}, "noise_reduction": {"type": "near_field"}}
INPUT |= {"transcription": WORDS, "turn_detection": None}
TURNS = [
    {
        "type": "server_vad",
        "create_response": False,
        "idle_timeout_ms": 6000,
        "interrupt_response": False,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 400,
        "threshold": 0.4,
    },
    {"type": "semantic_vad", "create_response": False, "eagerness": "high", "interrupt_response": False},
]


def keys(module, name: str) -> set[str]:
    return set(typing.get_type_hints(getattr(module, name)))


def literals(name: str) -> list[str]:
    """The values that the package documents for a parameter."""
    found, waiting = [], [typing.get_type_hints(transcription_create_params.TranscriptionCreateParamsBase)[name]]
    while waiting:
        kind = waiting.pop()
        if typing.get_origin(kind) is typing.Literal:
            found += typing.get_args(kind)
        elif kind is not type(None):
            waiting += typing.get_args(kind)
    return found


@pytest.fixture(scope="module")
def port():
    with running() as (port, _):
        yield port


def test_each_parameter_is_asked_for_here():
    for create in (Transcriptions.create, AsyncTranscriptions.create):
        assert set(inspect.signature(create).parameters) - {"self"} == set(ASKED)


def test_all_parameters_at_once(port):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0)
    assert client.audio.transcriptions.create(**ASKED).text == "好"

    async def ask() -> str:
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0) as client:
            return (await client.audio.transcriptions.create(**ASKED)).text

    assert asyncio.run(ask()) == "好"


def test_each_documented_value(port):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0)
    formats, grains = literals("response_format"), literals("timestamp_granularities")
    assert {"json", "text", "srt", "vtt", "verbose_json"} <= set(formats) and set(grains) == {"word", "segment"}
    for format in formats:
        asked = {"file": SAMPLE, "model": "x", "response_format": format, "timestamp_granularities": grains}
        assert "好" in str(client.audio.transcriptions.create(**asked))
    for value in literals("include"):
        assert client.audio.transcriptions.create(file=SAMPLE, model="x", include=[value]).logprobs


def test_each_key_of_a_realtime_session_is_asked_for_here():
    session = realtime_transcription_session_create_request_param
    detection = realtime_transcription_session_audio_input_turn_detection_param
    assert keys(session, "RealtimeTranscriptionSessionCreateRequestParam") == {"type", "audio", "include"}
    assert keys(realtime_transcription_session_audio_input_param, "RealtimeTranscriptionSessionAudioInputParam") == set(
        INPUT
    )
    assert keys(audio_transcription_param, "AudioTranscriptionParam") == set(WORDS)
    for name, turns in zip(("ServerVad", "SemanticVad"), TURNS, strict=True):
        assert keys(detection, name) == set(turns)


@pytest.mark.parametrize("turns", [None, *TURNS])
def test_a_realtime_session_with_all_keys(model, turns):
    """By the package's own code, with and without threads."""
    include = ["item.input_audio_transcription.logprobs"]
    session = {"type": "transcription", "audio": {"input": INPUT | {"turn_detection": turns}}, "include": include}
    with running(transcriber=load(model, "cpu", beam=1)) as (port, _):
        settings = {"base_url": f"http://127.0.0.1:{port}/v1", "api_key": "any"}
        with openai.OpenAI(**settings).realtime.connect(model="x") as connection:
            assert connection.recv().type == "session.created"
            connection.session.update(session=session)
            updated = connection.recv()
            connection.input_audio_buffer.append(audio="AAAA" * 4000)
            connection.input_audio_buffer.clear()
            assert connection.recv().type == "input_audio_buffer.cleared"

        async def again() -> None:
            async with openai.AsyncOpenAI(**settings).realtime.connect(model="x") as connection:
                assert (await connection.recv()).type == "session.created"
                await connection.session.update(session=session)
                assert (await connection.recv()).type == "session.updated"

        asyncio.run(again())
    assert updated.type == "session.updated" and updated.session.include == include
    type(updated).model_validate(updated.model_dump(), strict=True)
    shown = updated.session.audio.input.turn_detection
    assert (shown is None) == (turns is None)
