"""Texts that a person has corrected, as the server writes and counts them; and who gets the page."""

import json

import pytest

from asr.serving.settings import ServerSettings
from tests.serving import answer_at, exchange, running

pytest.importorskip("starlette")


def token(text: str, start: float, end: float, mark: str = "", confidence: float = 0.9) -> dict:
    return {"text": text, "start": start, "end": end, "mark": mark, "confidence": confidence}


TOKENS = [token("今", 0.5, 0.75), token("天", 0.75, 1.0, "，"), token("OK", 1.0, 1.5, "。", 1)]
TALK = {"duration": 3.0, "segments": [{"start": 0.4, "end": 1.6, "tokens": TOKENS}], "edited": True}


def sent(port: int, path: str, body: object) -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer to JSON."""
    data = json.dumps(body).encode() if not isinstance(body, bytes) else body
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    answer = exchange(port, head.encode() + data)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


@pytest.fixture(scope="module")
def port():
    with running() as (port, _):
        yield port


@pytest.mark.parametrize(
    "format, text",
    [
        ("text", "今天，OK。\n"),
        ("srt", "1\n00:00:00,500 --> 00:00:01,500\n今天，OK\n\n"),
        ("vtt", "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\n今天，OK\n"),
        ("tsv", "start\tend\tchannel\tconfidence\ttext\n0.500\t1.500\t\t0.9333\t今天，OK。\n"),
    ],
)
def test_an_edited_text_in_any_format(port, format, text):
    status, head, body = sent(port, "/v1/render", TALK | {"response_format": format})
    assert (status, body.decode()) == (200, text)
    assert b"content-type: text/plain; charset=utf-8" in head


def test_an_edited_text_for_praat(port):
    body = sent(port, "/v1/render", TALK | {"response_format": "textgrid"})[2].decode()
    assert body.count('text = "今"') == 1 and 'text = "今天，OK。"' in body and "xmax = 3.000000" in body


def test_an_edited_text_as_the_api_answers(port):
    body = json.loads(sent(port, "/v1/render", TALK | {"response_format": "verbose_json"})[2])
    assert body["text"] == "今天，OK。" and body["duration"] == 3.0
    assert body["words"][2] == {"word": "OK", "start": 1.0, "end": 1.5}
    assert [segment["text"] for segment in body["segments"]] == ["今天，OK。"]
    assert body["warnings"] == ["the text was edited by hand"] and len(body["logprobs"]) == 3
    plain = json.loads(sent(port, "/v1/render", TALK | {"response_format": "verbose_json", "edited": False})[2])
    assert plain["warnings"] == []


@pytest.mark.parametrize(
    "body, message",
    [
        (b"no json", "the body must be an object in JSON"),
        (b"[" * 100_000, "the body must be an object in JSON"),
        ([], "the body must be an object in JSON"),
        ({}, "the body must have a list of segments"),
        (
            TALK | {"response_format": "docx"},
            "response_format must be one of json, text, verbose_json, diarized_json, srt",
        ),
        (TALK | {"response_format": []}, "response_format must be one of json, text"),
        (TALK | {"response_format": "rttm"}, "rttm says who speaks when: tokens must have a speaker"),
        (TALK | {"duration": float("nan")}, "the body must have a number from 0 to 1e+09 as its duration"),
        ({"segments": [3]}, "segments[0] must have a list of tokens"),
        ({"segments": [{"tokens": [token("", 0, 1)]}]}, "segments[0].tokens[0].text must hold something"),
        ({"segments": [{"tokens": [token("\n", 0, 1)]}]}, "segments[0].tokens[0].text must hold something"),
        ({"segments": [{"tokens": [token("好", 2, 1)]}]}, "segments[0].tokens[0] must be from a time to a later one"),
        (
            {"segments": [{"tokens": [token("好", 2, 3), token("好", 1, 3)]}]},
            "segments[0].tokens[1] must be from a time",
        ),
        (
            {"segments": [{"tokens": [token("好", 0, 1, confidence=2)]}]},
            "segments[0].tokens[0] must have a number from",
        ),
        ({"segments": [{"tokens": [{"text": 3}]}]}, "segments[0].tokens[0] must have a text as its text"),
    ],
)
def test_what_is_no_transcript(port, body, message):
    status, _, answer = sent(port, "/v1/render", body)
    assert status == 400 and json.loads(answer)["error"]["message"].startswith(message), answer


def test_the_field_that_is_wrong_is_named(port):
    def param(path, body):
        return json.loads(sent(port, path, body)[2])["error"]["param"]

    assert param("/v1/score", {"reference": 1}) == "reference"
    assert param("/v1/render", TALK | {"duration": -1}) == "duration"
    assert param("/v1/render", {"segments": [{"tokens": [{"text": 3}]}]}) == "segments[0].tokens[0].text"


def test_a_segment_is_cut_where_another_one_speaks(port):
    tokens = [one | {"speaker": who} for one, who in zip(TOKENS, ("S1", "S1", "A"), strict=True)]
    asked = TALK | {"segments": [TALK["segments"][0] | {"tokens": tokens}]}
    assert sent(port, "/v1/render", asked | {"response_format": "text"})[2].decode() == "S1: 今天，\nA: OK。\n"
    assert sent(port, "/v1/render", asked | {"response_format": "rttm"})[2].decode() == (
        "SPEAKER recording 1 0.500 0.500 <NA> <NA> S1 <NA> <NA>\nSPEAKER recording 1 1.000 0.500 <NA> <NA> A <NA> <NA>\n"
    )
    answer = json.loads(sent(port, "/v1/render", asked | {"response_format": "diarized_json"})[2])
    assert [one["speaker"] for one in answer["segments"]] == ["B", "A"]  # A is somebody's name


def test_errors_are_counted_by_the_rules_of_scoring(port):
    """As `asr score` counts: no punctuation, no case."""
    asked = {"reference": "今天天气，很好 OK", "hypothesis": "今天天汽很好，啊ok。"}
    status, _, body = sent(port, "/v1/score", asked)
    assert status == 200
    assert json.loads(body) == {
        "cer": 2 / 8,
        **{"substitutions": 1, "deletions": 0, "insertions": 1, "reference": 8},
        "rules": ["forms", "width", "case", "punctuation", "word_signs", "spaces"],
        "pairs": ["今天天", ["气", "汽"], "很好", ["", "啊"], "OK"],
    }


def test_rules_may_be_added(port):
    asked = {"reference": "百分之三十", "hypothesis": "30%"}
    assert json.loads(sent(port, "/v1/score", asked)[2])["cer"] == 1
    pytest.importorskip("cn2an")
    assert json.loads(sent(port, "/v1/score", asked | {"rules": "+numbers"})[2])["cer"] == 0


@pytest.mark.parametrize(
    "body, message",
    [
        ({"reference": "好" * 20_001}, "a text of more than 20,000 characters is scored by `asr score`, not here"),
        ({"reference": ["好"]}, "the body must have a text as its reference"),
        ({"reference": "好", "rules": "+nonsense"}, "there is no rule 'nonsense'"),
    ],
)
def test_what_is_not_scored(port, body, message):
    status, _, answer = sent(port, "/v1/score", body)
    assert status == 400 and json.loads(answer)["error"]["message"].startswith(message), answer


def test_nothing_said_and_nothing_written(port):
    assert json.loads(sent(port, "/v1/score", {})[2])["cer"] == 0
    assert json.loads(sent(port, "/v1/score", {"hypothesis": "好"})[2])["cer"] is None


def test_a_key_is_asked_for(port):
    for path in ("/v1/render", "/v1/score"):
        assert answer_at(ServerSettings(key="secret"), [b"{}"], path)[0] == 401


def get(port: int, path: str, *headers: str) -> tuple[int, str, bytes]:
    lines = "".join(
        f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers)
    )
    head, _, body = exchange(port, lines.encode() + b"\r\n").partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def test_the_page_needs_no_key_and_nothing_from_elsewhere():
    with running(ServerSettings(key="secret")) as (port, _):
        status, head, body = get(port, "/")
        assert status == 200 and b"<!doctype html>" in body and "content-type: text/html; charset=utf-8" in head
        assert "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';" in head
        assert "unsafe" not in head and "frame-ancestors 'none'" in head and "x-content-type-options: nosniff" in head
        assert get(port, "/page/app.js")[0] == 200
        frame = get(port, "/page/frame.html")[1]
        assert "sandbox allow-scripts" in frame and "default-src 'none'" in frame and "connect-src" not in frame


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapplication.py", "../application.py", "", "page", "%00"])
def test_nothing_but_the_page_is_served(port, name):
    status, _, body = get(port, f"/page/{name}")
    assert status == 404 and json.loads(body)["error"]["message"].startswith("there is nothing at '/page")


FOLLOWED = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate")


def test_a_link_on_another_site_may_lead_to_the_page(port):
    """But no frame of another site shows it, and nothing else is reached by a link."""
    link = (*FOLLOWED, "Sec-Fetch-Dest: document")
    assert get(port, "/", *link)[0] == 200
    assert get(port, "/", *FOLLOWED, "Sec-Fetch-Dest: iframe")[0] == 403
    assert get(port, "/", *link, "Origin: https://evil.example")[0] == 403
    assert get(port, "/v1/models", *link)[0] == 403
    assert get(port, "/", *link, "Host: evil.example")[0] in (400, 403)


def test_json_that_python_reads_and_cannot_write(port):
    tokens = [token("\ud800今", 0, 1, "\udfff"), token("😀", 1, 2)]
    talk = {"duration": 3, "segments": [{"start": 0, "end": 2, "tokens": tokens}], "response_format": "text"}
    assert sent(port, "/v1/render", talk)[::2] == (200, "\ufffd今\ufffd😀\n".encode())
    assert sent(port, "/v1/render", talk | {"response_format": "verbose_json"})[0] == 200
    status, _, body = sent(port, "/v1/render", TALK | {"duration": 10**400})
    assert (status, json.loads(body)["error"]["message"]) == (
        400,
        "the body must have a number from 0 to 1e+09 as its duration",
    )
    assert sent(port, "/v1/score", "今".encode("utf-16"))[0] == 400


def test_a_text_that_nobody_said_in_a_day(port):
    talk = TALK | {"segments": [{"start": 0, "end": 1, "tokens": [token("啊" * 300_001, 0, 1)]}]}
    status, _, body = sent(port, "/v1/render", talk)
    assert status == 400
    assert json.loads(body)["error"]["message"] == "a text may have 300,000 characters at most; send it in parts"
