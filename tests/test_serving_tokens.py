"""Keys for web pages, which end soon."""

import json

import pytest

from asr.serving.settings import ServerSettings
from asr.serving.tokens import holds, new_token
from tests.serving import answer_at, running

pytest.importorskip("starlette")
SECRETS = "/v1/realtime/client_secrets"


def test_a_token_holds_until_it_ends(monkeypatch):
    now = [1_000_000.5]
    monkeypatch.setattr("time.time", lambda: now[0])
    token, ends = new_token("secret", 60)
    assert ends == 1_000_060 and token.startswith("ek_1000060_") and holds(token, "secret")
    now[0] = 1_000_059.9
    assert holds(token, "secret")
    now[0] = 1_000_060
    assert not holds(token, "secret")


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token.replace("ek_", "ek_9", 1),
        lambda token: token.removeprefix("ek_"),
        lambda token: "ek_",
        lambda token: "ek_²_x",
        lambda token: "ek_" + "9" * 5000 + "_x",
        lambda token: token + "é",
    ],
)
def test_what_is_no_token(change):
    token, _ = new_token("secret", 60)
    assert holds(token, "secret") and not holds(change(token), "secret") and not holds(token, "other")


def test_who_has_the_key_lends_it_and_who_has_borrowed_it_does_not():
    settings = ServerSettings(key="secret")
    status, lent = answer_at(settings, [b"{}"], SECRETS, authorization="Bearer secret")
    assert status == 200 and lent["session"]["type"] == "transcription"
    borrowed = "Bearer " + lent["value"]
    assert answer_at(settings, [], "/v1/models", authorization=borrowed)[0] == 200
    assert answer_at(settings, [b"{}"], SECRETS, authorization=borrowed)[0] == 401
    assert answer_at(ServerSettings(key="other"), [], "/v1/models", authorization=borrowed)[0] == 401


@pytest.mark.parametrize(
    "body, status, message",
    [
        (b"{", 400, "the body must be JSON"),
        (b'{"expires_after": {"seconds": 5}}', 400, "expires_after.seconds must be from 10 to 7200"),
        (b'{"expires_after": {"seconds": "9"}}', 400, "expires_after.seconds must be from 10 to 7200"),
        (b'"' + b"x" * 70_000 + b'"', 413, "an upload must be at most 0.065536 MB"),
    ],
)
def test_requests_for_a_token_that_cannot_be(body, status, message):
    answer = answer_at(ServerSettings(key="secret"), [body], SECRETS, authorization="Bearer secret")
    assert answer[0] == status and answer[1]["error"]["message"] == message


def test_a_page_with_a_token_speaks():
    """Asked for by OpenAI's package, used as a page does."""
    openai = pytest.importorskip("openai")
    from websockets.sync.client import connect

    with running(ServerSettings(key="secret", most_live=0)) as (port, _):
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="secret", max_retries=0)
        lent = client.realtime.client_secrets.create(
            session={"type": "transcription"}, expires_after={"anchor": "created_at", "seconds": 60}
        )
        type(lent).model_validate(lent.model_dump(), strict=True)
        protocols = ["realtime", f"openai-insecure-api-key.{lent.value}"]
        with connect(f"ws://127.0.0.1:{port}/v1/realtime", subprotocols=protocols) as connection:
            assert json.loads(connection.recv(timeout=30))["error"]["message"].startswith("0 live clients are here")


def test_live_text_is_no_page():
    status, answer = answer_at(ServerSettings(), [], "/v1/realtime")
    assert (status, answer["error"]["message"]) == (426, "/v1/realtime is a WebSocket: connect to ws://…/v1/realtime")
