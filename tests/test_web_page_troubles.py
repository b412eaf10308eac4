"""The page at `/`, in a real browser: recordings that cannot be transcribed, or must wait, and a server that is gone."""

import time

import pytest

from asr.serving.refusals import BadRequest
from tests.browsers import complaints, css, wait
from tests.serving import PATH, running
from tests.web_pages import SAID, SLOW, FakeTranscriber, browser, recording

pytest.importorskip("starlette")
FIXTURES = (browser, recording)


def give(browser, port: int, *files) -> None:
    """Opens the page and gives it files."""
    browser.get(f"http://127.0.0.1:{port}/")
    css(browser, "#files")[0].send_keys("\n".join(map(str, files)))


def is_read(browser) -> bool:
    return len(css(browser, ".token")) == 11


@pytest.mark.parametrize("heard", [0, 1])
def test_what_cannot_be_transcribed_says_why_and_may_be_tried_again(browser, recording, heard):
    """Before anything was heard the answer has a status; later the reason is an event."""

    class Shy(FakeTranscriber):
        tries = 0

        def stream(self, recordings, cancelled, together):
            Shy.tries += 1
            if Shy.tries > 1:
                yield from super().stream(recordings, cancelled, together)
                return
            for self.said in range(1, heard + 1):
                yield recordings[0], SAID[0]
            raise BadRequest("会议 1.wav: <b>not</b> recognised as audio", "file")

    with running(transcriber=Shy()) as (port, _):
        give(browser, port, recording)
        assert wait(lambda: css(browser, ".failed"), SLOW)
        text = "The server says: 会议 1.wav: <b>not</b> recognised as audio"
        assert css(browser, ".failed output")[0].text == text
        css(browser, ".failed button:not(.title)")[0].click()
        assert wait(lambda: is_read(browser), SLOW)
    assert [message for message in complaints(browser) if "400 (Bad Request)" not in message] == []


def test_a_server_that_is_busy_is_asked_again(browser, recording):
    asked = []

    def busy_once(application):
        async def app(scope, receive, send):
            if scope.get("path") == PATH:
                asked.append(scope["method"])
            if asked != ["POST"] or scope["path"] != PATH:
                return await application(scope, receive, send)
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 429, "headers": [(b"retry-after", b"1")]})
            await send({"type": "http.response.body", "body": b'{"error": {"message": "too many"}}'})

        return app

    with running(transcriber=FakeTranscriber(), around=busy_once) as (port, _):
        give(browser, port, recording)
        assert wait(lambda: is_read(browser), SLOW) and asked == ["POST", "POST"]
    assert [message for message in complaints(browser) if " 429 " not in message] == []


def test_a_recording_that_is_removed_is_not_worked_on_and_the_next_one_is(browser, recording, tmp_path):
    given_up = []

    class Long(FakeTranscriber):
        def stream(self, recordings, cancelled, together):
            if recordings[0].name == "long.wav":
                self.said = 1
                while not cancelled():
                    time.sleep(0.05)
                    yield recordings[0], SAID[0]
                given_up.append("long.wav")
                return
            yield from super().stream(recordings, cancelled, together)

    long = tmp_path / "long.wav"
    long.write_bytes(recording.read_bytes())
    with running(transcriber=Long()) as (port, _):
        give(browser, port, long, recording)
        assert wait(lambda: css(browser, ".partial")[0].text == "今天天气，HELLO WORLD", SLOW)
        assert [node.text for node in css(browser, "#jobs output")] == [
            "heard 0:02 of 0:05",
            "waits for the one before it",
        ]
        css(browser, "#jobs .row > button:last-child")[0].click()
        assert wait(lambda: is_read(browser), SLOW) and wait(lambda: given_up, SLOW)
        assert [node.text for node in css(browser, "#jobs .title")] == [recording.name]
    assert complaints(browser) == []


def test_a_recording_without_speech(browser, recording):
    class Deaf(FakeTranscriber):
        def stream(self, recordings, cancelled, together):
            return iter(())

    with running(transcriber=Deaf()) as (port, _):
        give(browser, port, recording)
        assert wait(lambda: css(browser, ".done"), SLOW)
        assert css(browser, "#jobs output")[0].text == "no speech was found"
        assert css(browser, "#next-unsure")[0].text == "No unsure places" and css(browser, "#reader")[0].is_displayed()
    assert complaints(browser) == []


def test_a_server_that_is_gone(browser, recording):
    with running(transcriber=FakeTranscriber()) as (port, _):
        give(browser, port, recording)
        assert wait(lambda: is_read(browser), SLOW)
    lost = "The connection to the server is lost."
    css(browser, "[data-format=srt]")[0].click()
    assert wait(lambda: css(browser, "#said")[0].text == lost, SLOW)
    css(browser, "#files")[0].send_keys(str(recording))
    assert wait(lambda: css(browser, ".failed"), SLOW) and css(browser, ".failed output")[0].text == lost
    assert [message for message in complaints(browser) if "ERR_CONNECTION" not in message] == []
