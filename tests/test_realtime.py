"""Live sessions over WebSocket: with OpenAI's own package, and with bare samples."""

import base64
import io
import json
import time

import numpy as np
import pytest
import soundfile
import soxr

from asr.serving.settings import ServerSettings
from tests.conftest import ROOT
from tests.serving import running
from tests.sounds import noise, silence

pytest.importorskip("starlette")
openai = pytest.importorskip("openai")
websockets = pytest.importorskip("websockets")
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

SPOKEN = soundfile.read(ROOT / "data/sample/weather.flac", dtype="float32")[0]
TALK = np.concatenate([silence(0.6), SPOKEN, silence(1.2), SPOKEN, silence(1.2)])
TALK = TALK + noise(len(TALK) / 16000, level=0.0003)[: len(TALK)]
"""The same sentence twice."""
DONE = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


@pytest.fixture(scope="module")
def transcriber():
    import asr

    return asr.load("embedded", "cpu", beam=2)


@pytest.fixture(scope="module")
def server(transcriber):
    """The port of a server with the embedded model."""
    with running(ServerSettings(most_live=8), transcriber) as (port, _):
        yield port


def pcm(samples: np.ndarray, rate: int) -> bytes:
    samples = soxr.resample(samples, 16000, rate)
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def chunks(data: bytes, size: int = 4800):
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.fixture(scope="module")
def text(transcriber) -> str:
    return transcriber.transcribe((SPOKEN, 16000)).text


def test_the_clients_own_code(server, text):
    """As OpenAI's documentation has it: a session is set up, base64 of 24 kHz is appended, events come back."""
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server}/v1", api_key="any")
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        assert connection.recv().type == "session.created"
        detection = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 400}
        connection.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": {"model": "gpt-transcribe", "language": "zh", "prompt": "张晓明"},
                        "turn_detection": detection,
                        "noise_reduction": {"type": "near_field"},
                    }
                },
                "include": ["item.input_audio_transcription.logprobs"],
            }
        )
        shown = connection.recv()
        assert shown.type == "session.updated" and shown.session.audio.input.turn_detection.threshold == 0.5
        for part in chunks(pcm(TALK, 24000)):
            connection.input_audio_buffer.append(audio=base64.b64encode(part).decode())
        connection.input_audio_buffer.commit()
        events = []
        while sum(event.type == "input_audio_buffer.committed" for event in events) < 3:
            events.append(connection.recv())  # two utterances, and the silence behind them
        while events[-1].type != DONE:
            events.append(connection.recv())
    for event in events:
        type(event).model_validate(event.model_dump(), strict=True)
    done = [event for event in events if event.type == DONE]
    assert [event.transcript for event in done] == [text, text, ""]
    assert "".join(one.token for one in done[0].logprobs) == text
    for event in done[:2]:
        own = [one.type for one in events if getattr(one, "item_id", None) == event.item_id]
        assert [kind for kind in own if kind != DELTA] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            DONE,
        ]
        assert "".join(one.delta for one in events if one.type == DELTA and one.item_id == event.item_id) == text
    committed = [event for event in events if event.type == "input_audio_buffer.committed"]
    assert [event.previous_item_id for event in committed] == [None, *(event.item_id for event in committed[:2])]


def received(connection) -> list[dict]:
    """Events up to the last that comes."""
    events = []
    try:
        while True:
            events.append(json.loads(connection.recv(timeout=60)))
            if events[-1]["type"] == DONE and events[-1]["transcript"] == "":
                return events
    except ConnectionClosed:
        return events


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_bare_samples_at_a_stated_rate(server, text, rate):
    """Ten lines of code: frames of 16-bit samples, and a commit at the end."""
    with connect(f"ws://127.0.0.1:{server}/v1/realtime?rate={rate}&provisional=true") as connection:
        for part in chunks(pcm(TALK, rate), 1501):  # cuts samples in half
            connection.send(part)
        connection.send(json.dumps({"type": "input_audio_buffer.commit"}))
        events = received(connection)
    done = [event for event in events if event["type"] == DONE]
    assert [len(event["transcript"]) for event in done[:2]] == [len(text)] * 2
    if rate > 8000:
        assert [event["transcript"] for event in done] == [text, text, ""]
    first, second, _ = done
    assert 0 <= first["start"] < first["end"] < second["start"] < second["end"] <= len(TALK) / 16000
    assert "".join(word["word"] for word in first["words"]) == first["transcript"]
    assert all(first["start"] <= word["start"] <= word["end"] <= first["end"] for word in first["words"])
    shift = (len(SPOKEN) + len(silence(1.2))) / 16000
    assert second["words"][0]["start"] - first["words"][0]["start"] == pytest.approx(shift, abs=0.25)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_a_commit_has_all_that_was_sent_before(server, rate):
    """Nothing is still in a resampler: a tenth of a second is enough, and ends where it was sent up to."""
    tenth = np.zeros(rate // 10, "<i2").tobytes()
    with connect(f"ws://127.0.0.1:{server}/v1/realtime?rate={rate}") as connection:
        for end in (0.1, 0.2):
            connection.send(tenth)
            connection.send(json.dumps({"type": "input_audio_buffer.commit"}))
            (*_, done) = received(connection)
            assert done["end"] == pytest.approx(end, abs=0.001)
        connection.send(tenth)
        connection.send(json.dumps({"type": "input_audio_buffer.clear"}))
        connection.send(json.dumps({"type": "input_audio_buffer.commit"}))
        assert json.loads(connection.recv(timeout=60))["type"] == "input_audio_buffer.cleared"
        refused = json.loads(connection.recv(timeout=60))["error"]
        assert refused["message"].startswith("nothing to commit"), "what was cleared is gone"


@pytest.mark.parametrize(("law", "subtype"), [("pcmu", "ULAW"), ("pcma", "ALAW")])
def test_a_telephone(server, text, law, subtype):
    """Its codes, by the address for a client that sends nothing else, and by the session."""
    raw = io.BytesIO()
    samples = soxr.resample(TALK, 16000, 8000)
    soundfile.write(raw, samples, 8000, format="RAW", subtype=subtype)
    with connect(f"ws://127.0.0.1:{server}/v1/realtime?format={law}") as by_address:
        assert json.loads(by_address.recv(timeout=30))["session"]["audio"]["input"]["format"] == {
            "type": f"audio/{law}"
        }
        by_address.send(raw.getvalue())
        by_address.send(json.dumps({"type": "input_audio_buffer.commit"}))
        done = [event for event in received(by_address) if event["type"] == DONE]
    assert [len(event["transcript"]) for event in done] == [len(text), len(text), 0]
    assert done[-1]["end"] == pytest.approx(len(TALK) / 16000, abs=0.1)
    with connect(f"ws://127.0.0.1:{server}/v1/realtime") as by_session:
        by_session.recv(timeout=30)
        session = {"audio": {"input": {"format": {"type": f"audio/{law}"}}}}
        by_session.send(json.dumps({"type": "session.update", "session": session}))
        shown = json.loads(by_session.recv(timeout=30))["session"]
        assert shown["audio"]["input"]["format"] == {"type": f"audio/{law}"}


@pytest.mark.parametrize(
    ("query", "format", "rate"),
    [
        ({"format": "pcmu"}, "audio/pcm", 24000),
        ({"format": "pcmu", "rate": "16000"}, "audio/pcmu", 16000),
        ({"format": "pcmu", "rate": "16000"}, "audio/pcma", 8000),
        ({"rate": "16000"}, "audio/pcm", 16000),
        ({"rate": "16000"}, "g711_ulaw", 8000),
        ({"format": "pcma"}, {"type": "audio/pcm", "rate": 8000}, 8000),
    ],
)
def test_the_rate_of_another_kind_of_samples_is_not_kept(query, format, rate):
    from asr.serving.realtime_session import of_query, updated

    assert updated(of_query(query), {"audio": {"input": {"format": format}}}).rate == rate


def test_text_that_may_change_is_told_where_it_is_asked_for(server, text):
    with connect(f"ws://127.0.0.1:{server}/v1/realtime?rate=16000&provisional=1") as connection:
        for part in chunks(pcm(TALK[: len(SPOKEN) + 12000], 16000), 9600):
            connection.send(part)
            time.sleep(0.15)  # twice as fast as it is said
        connection.send('{"type": "input_audio_buffer.commit"}')
        events = []
        while not events or events[-1]["type"] != DONE:
            events.append(json.loads(connection.recv(timeout=60)))
    provisional = [event for event in events if event["type"].endswith("provisional")]
    told = ""
    for event in events:
        told += event.get("delta", "")
        if event in provisional:
            assert event["text"][: event["settled"]] == told
    assert events[-1]["transcript"] == text


def test_utterances_that_the_client_ends(server, text):
    """Without turn detection an item is whatever lies between two commits, pauses or not."""
    with connect(f"ws://127.0.0.1:{server}/v1/realtime?rate=16000") as connection:
        update = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
        connection.send(json.dumps({"type": "session.update", "session": update}))
        connection.send(pcm(TALK, 16000))
        connection.send('{"type": "input_audio_buffer.commit"}')
        connection.send(pcm(SPOKEN, 16000))
        connection.send('{"type": "input_audio_buffer.clear"}')
        connection.send('{"type": "input_audio_buffer.commit", "event_id": "mine"}')
        events = []
        while not events or events[-1]["type"] != "error":
            events.append(json.loads(connection.recv(timeout=60)))
    assert [event["transcript"] for event in events if event["type"] == DONE] == [text + text]
    assert not any("speech" in event["type"] for event in events)
    assert events[-2]["type"] == "input_audio_buffer.cleared"
    assert events[-1]["error"]["event_id"] == "mine" and events[-1]["error"]["message"].startswith("nothing to commit")


def test_the_apis_first_version(server):
    with connect(f"ws://127.0.0.1:{server}/v1/realtime") as connection:
        old = {"input_audio_format": "pcm16", "turn_detection": None, "input_audio_transcription": {"prompt": "李四"}}
        connection.send(json.dumps({"type": "transcription_session.update", "session": old}))
        events = [json.loads(connection.recv(timeout=60)) for _ in range(2)]
    assert events[1]["type"] == "transcription_session.updated"
    assert events[1]["session"]["audio"]["input"]["turn_detection"] is None
    assert events[1]["session"]["audio"]["input"]["transcription"] == {"language": "zh", "prompt": "李四"}


@pytest.mark.parametrize(
    "message, told",
    [
        ("no json", "a message must be an object in JSON with a type, or binary: samples"),
        ("[" * 100_000, "a message must be an object in JSON with a type, or binary: samples"),
        ('{"type": 1}', "a message must be an object in JSON with a type, or binary: samples"),
        ('{"type": "response.create"}', "there is no event 'response.create' of a transcription session"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "audio must be base64 of samples"),
        ('{"type": "input_audio_buffer.append", "audio": 7}', "audio must be base64 of samples"),
        (
            '{"type": "input_audio_buffer.commit"}',
            "nothing to commit: less than 0.1 s of audio have come since the last",
        ),
        ('{"type": "session.update", "session": 1}', "session must be an object"),
        (
            '{"type": "half \\ud83d", "event_id": "\\ude00"}',
            "there is no event 'half \ufffd' of a transcription session",
        ),
        (
            '{"type": "session.update", "session": {"type": "realtime"}}',
            "session.type must be transcription: this server",
        ),
        ('{"type": "session.update", "session": {"include": 1}}', "session.include must be a list"),
    ],
)
def test_messages_that_cannot_be_obeyed_leave_the_session_alone(server, message, told):
    with connect(f"ws://127.0.0.1:{server}/v1/realtime") as connection:
        connection.recv(timeout=30)
        connection.send(message)
        answer = json.loads(connection.recv(timeout=30))
        assert answer["type"] == "error" and answer["error"]["message"].startswith(told)
        connection.send('{"type": "input_audio_buffer.clear"}')
        assert json.loads(connection.recv(timeout=30))["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize(
    "input, told",
    [
        ({"transcription": {"language": "en"}}, "the language must be zh, is 'en': the model is for Mandarin"),
        ({"transcription": {"keywords": ["a" * 20_000]}}, "prompt and keywords may have 20,000 characters together"),
        ({"transcription": {"prompt": 1}}, "session.audio.input.transcription.prompt must be a text"),
        ({"transcription": {"keywords": "a"}}, "session.audio.input.transcription.keywords must be a list of texts"),
        ({"format": {"type": "audio/opus"}}, "session.audio.input.format must be audio/pcm (16 bits, little endian"),
        ({"format": {"type": "audio/pcm", "rate": 1}}, "the rate must be from 8000 to 48000 samples a second"),
        ({"turn_detection": {"type": "guess"}}, "session.audio.input.turn_detection.type must be server_vad, or all"),
        ({"turn_detection": {"threshold": 2}}, "threshold must be a number from 0 to 0.99"),
        ({"turn_detection": {"silence_duration_ms": "x"}}, "silence_duration_ms must be a number from 100 to 10000"),
    ],
)
def test_settings_that_cannot_be(server, input, told):
    with connect(f"ws://127.0.0.1:{server}/v1/realtime") as connection:
        connection.recv(timeout=30)
        connection.send(json.dumps({"type": "session.update", "session": {"audio": {"input": input}}}))
        assert json.loads(connection.recv(timeout=30))["error"]["message"].startswith(told)
