"""Who may use a server, and for how much."""

import pytest

from asr.serving.access import refusal
from asr.serving.settings import ServerSettings
from tests.serving import FORM, PATH, answer_at, exchange, running

pytest.importorskip("starlette")
LAN = ServerSettings("192.168.1.5")
EVERYWHERE = ServerSettings("0.0.0.0")


@pytest.mark.parametrize(
    "settings, host",
    [
        *(
            (ServerSettings(), host)
            for host in ("127.0.0.1:8000", "localhost", "LOCALHOST:1", "localhost.", "[::1]:80")
        ),
        *((LAN, host) for host in ("192.168.1.5:8000", "127.0.0.1", "localhost")),
        *((EVERYWHERE, host) for host in ("192.168.1.5", "[fe80::1]:8000", "localhost")),
        (ServerSettings("::"), "10.0.0.1"),
        (ServerSettings("asr.lan"), "asr.lan:8000"),
        (ServerSettings(hosts=("asr.example.org", "[fd00::1]")), "ASR.example.org:443"),
        (ServerSettings(hosts=("[fd00::1]",)), "[fd00::1]"),
        (ServerSettings(hosts=("*",)), "anything"),
    ],
)
def test_names_that_a_server_goes_by(settings, host):
    assert refusal({"host": host}, settings) is None


@pytest.mark.parametrize(
    "settings, host",
    [
        *(
            (ServerSettings(), host)
            for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "", ":80")
        ),
        *(
            (ServerSettings(), host)
            for host in ("192.168.1.5", "0.0.0.0", "[::1", "127.0.0.1.evil.example", "2130706433")
        ),
        (LAN, "192.168.1.6"),
        (EVERYWHERE, "evil.example"),
        (ServerSettings(hosts=("asr.example.org",)), "other.example.org"),
    ],
)
def test_a_name_that_somebody_else_lets_point_here_is_refused(settings, host):
    """DNS rebinding: the page's own server has the name, so for the browser all of it is one site."""
    assert refusal({"host": host}, settings) == (
        f"this server does not go by the name {host!r}; if it should, start it with --allow-host NAME"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"},
        {"origin": "https://localhost:8000"},  # behind a proxy that speaks TLS
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin"},
    ],
)
def test_programs_and_the_servers_own_pages_may_ask(headers):
    assert refusal({"host": "localhost:8000", **headers}, ServerSettings()) is None


def test_a_page_that_is_let_in_may_use_openais_client():
    """Which sends headers of its own, for which a browser asks first; and it may read what an answer says of a request."""
    page = "Origin: https://page.example\r\n"
    with running(ServerSettings(origins=("https://page.example",))) as (port, _):
        asked = (
            "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-stainless-os\r\n"
        )
        head = f"OPTIONS {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{page}{asked}\r\n"
        answer = exchange(port, head.encode()).decode().lower()
        assert answer.startswith("http/1.1 200") and "x-stainless-os" in answer, answer
        head = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{page}\r\n"
        answer = exchange(port, head.encode()).decode().lower()
        assert "access-control-expose-headers: x-hotwords, warning, retry-after" in answer


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "http://localhost", "null", ""])
def test_pages_of_other_sites_may_not(origin):
    headers = {"host": "localhost:8000", "origin": origin}
    reason = f"pages of {origin!r} may not use this server; if they should, start it with --allow-origin ORIGIN"
    assert refusal(headers, ServerSettings()) == reason
    assert refusal(headers | {"sec-fetch-site": "same-origin"}, ServerSettings()) == reason
    assert refusal(headers, ServerSettings(origins=("https://other.example",))) == reason
    for allowed in (origin, "*"):
        assert refusal(headers | {"sec-fetch-site": "cross-site"}, ServerSettings(origins=(allowed,))) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site"])
def test_nor_in_ways_that_send_no_origin(site):
    reason = refusal({"host": "localhost", "sec-fetch-site": site}, ServerSettings())
    assert reason == "pages of other sites may not use this server; if one should, start it with --allow-origin ORIGIN"


def test_what_is_refused_is_read_and_dropped():
    form = FORM % b"a.wav"
    for body, path in (([form[:50], form[50:]], PATH), ([], "/v1/models"), ([], "/health")):
        status, answer = answer_at(ServerSettings(), body, path, origin="https://evil.example")
        assert status == 403 and answer["error"]["message"].startswith("pages of 'https://evil.example' may not")
    status, answer = answer_at(ServerSettings(origins=("https://page.example",)), [form], origin="https://page.example")
    assert (status, answer) == (200, {"text": "好"})


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer secre", "Basic secret", "Bearer \xe7\xa7"])
def test_who_does_not_know_the_key_is_not_let_in(key):
    settings = ServerSettings(key="secret")
    for body, path in (([b"x" * 9] * 3, PATH), ([], "/v1/models")):
        status, answer = answer_at(settings, body, path, authorization=key)
        assert status == 401
        assert answer["error"]["message"] == "the key is wrong or missing; send it as Authorization: Bearer KEY"
    assert answer_at(settings, [], "/health", authorization=key)[0] == 200


def test_who_knows_the_key_is_let_in():
    assert answer_at(ServerSettings(key="secret"), [], "/v1/models", authorization="Bearer secret")[0] == 200
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nany\r\n--b--\r\n'
    settings = ServerSettings(key="secret", most_bytes=len(form))
    status, answer = answer_at(settings, [form], authorization="bearer secret")
    assert status == 400 and answer["error"]["message"].startswith("file must be an audio file")


@pytest.mark.parametrize("pieces", [1, 3, 9])
def test_an_upload_that_is_too_large_is_read_but_not_kept(pieces):
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + b"0" * 3000
    size = -(-len(form) // pieces)
    body = [form[i : i + size] for i in range(0, len(form), size)]
    status, answer = answer_at(ServerSettings(most_bytes=len(form) - 1), body)
    assert status == 413 and answer["error"]["message"] == f"an upload must be at most {(len(form) - 1) / 1e6:g} MB"


def test_the_command_says_who_is_let_in(run, monkeypatch):
    asked = []
    monkeypatch.setattr("asr.serving.server.serve", lambda load, finishing, settings, say: asked.append(settings))
    monkeypatch.setenv("ASR_KEY", "secret\n")
    limits = ["--max-upload", "0.5", "--max-seconds", "60", "--max-queue", "3"]
    limits += ["--max-clients", "9", "--max-work", "50", "--max-live", "4", "--max-idle", "5"]
    names = ["--allow-host", "a.example", "--allow-host", "b.example", "--allow-origin", "https://c.example/"]
    assert run("serve", "--port", "7", *limits, *names)[0] == 0
    assert asked.pop() == ServerSettings(
        "127.0.0.1", 7, "secret", 500_000, 60.0, 3, ("a.example", "b.example"), ("https://c.example",), 9, 50.0, 4, 5.0
    )
    assert run("serve")[0] == 0 and asked.pop() == ServerSettings(key="secret")
    status, _, err = run("serve", "--key", "秘密")
    assert status == 2 and "must be of ASCII characters" in err and not asked
