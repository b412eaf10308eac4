"""Files over HTTP, from a server that breaks off, lies, and is not there."""

import threading

import pytest

from asr.catalogue import download as module
from asr.catalogue.download import Remote, download, look_up
from asr.errors import DownloadError
from tests.hub import hub, sha256

DATA = bytes(range(256)) * 40_000  # ten megabytes: several blocks
SUM = sha256(DATA)
KNOWN = Remote(len(DATA), SUM)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with hub() as here:
        yield here


@pytest.fixture
def target(tmp_path):
    return tmp_path / "deep" / "model.pt"


def left(target) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_and_progress_is_told(server, target):
    server.serve("/a", DATA)
    told = []
    download(f"{server.address}/a", target, KNOWN, progress=told.append)
    assert target.read_bytes() == DATA and left(target) == ["model.pt"]
    assert told == sorted(told) and told[-1] == len(DATA)


def test_size_and_checksum_are_what_the_hub_states(server):
    server.serve("/large", DATA)
    server.serve("/small", b"abc", large=False)
    server.serve("/whole", b"abc", large=False, ranges=False)
    server.serve("/empty", b"", large=False)
    server.serve("/xet", b"abc", stated={"X-Linked-ETag": '"no-checksum"'})
    assert look_up(f"{server.address}/large") == KNOWN
    assert look_up(f"{server.address}/small") == look_up(f"{server.address}/whole") == Remote(3)
    assert look_up(f"{server.address}/empty") == Remote() and look_up(f"{server.address}/xet") == Remote(3)


@pytest.mark.parametrize("known", [KNOWN, Remote()], ids=["checksum", "no checksum"])
def test_a_broken_connection_is_taken_up_where_it_broke(server, target, known):
    served = server.serve("/a", DATA, cuts=[1_000_000, 3_000_000])
    download(f"{server.address}/a", target, known)
    assert target.read_bytes() == DATA
    assert [asked.get("Range") for asked in served.asked] == [None, "bytes=1000000-", "bytes=4000000-"]


def test_a_file_that_changes_meanwhile_is_fetched_from_its_beginning(server, target, monkeypatch):
    """The server names another version (ETag): without a checksum, nothing else would tell."""
    served = server.serve("/a", DATA, cuts=[1_000_000])
    other = DATA[::-1]
    monkeypatch.setattr(module, "_pause", lambda failures: setattr(served, "data", other))
    download(f"{server.address}/a", target, Remote())
    assert target.read_bytes() == other and "If-Range" in served.asked[1]


def test_a_server_that_cannot_send_parts_sends_all_again(server, target):
    served = server.serve("/a", DATA, cuts=[1_000_000], ranges=False)
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == DATA and len(served.asked) == 2


def test_a_busy_server_is_asked_again(server, target):
    server.serve("/a", DATA, statuses=[503, 429, 500])
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == DATA


def test_a_connection_that_never_gets_on_is_given_up_and_the_part_kept(server, target):
    served = server.serve("/a", DATA, cuts=[1_000_000] + [0] * 20)
    with pytest.raises(DownloadError, match="ended after 1,000,000 of 10,240,000.*1,000,000 bytes are kept"):
        download(f"{server.address}/a", target, KNOWN)
    assert left(target) == ["model.pt.part"]
    served.cuts.clear(), served.asked.clear()
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == DATA and served.asked[0]["Range"] == "bytes=1000000-"


def test_each_byte_of_progress_renews_the_patience(server, target):
    server.serve("/a", DATA, cuts=[100_000] * 30)
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == DATA


def test_stopped_by_hand_it_goes_on_later(server, target):
    served = server.serve("/a", DATA)

    def stop(done: int) -> None:
        if done > 4_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.address}/a", target, KNOWN, progress=stop)
    kept = (target.parent / "model.pt.part").stat().st_size
    assert left(target) == ["model.pt.part"] and 4_000_000 < kept < len(DATA)
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == DATA and served.asked[1]["Range"] == f"bytes={kept}-"


def test_a_part_that_nothing_can_check_is_not_continued(server, target):
    served = server.serve("/a", DATA)
    target.parent.mkdir()
    (target.parent / "model.pt.part").write_bytes(b"x" * 1000)
    download(f"{server.address}/a", target, Remote())
    assert target.read_bytes() == DATA and "Range" not in served.asked[0]


@pytest.mark.parametrize("part", [b"x" * 1000, DATA + b"more", b"x" * len(DATA)], ids=["short", "long", "as long"])
def test_a_part_of_something_else_is_thrown_away(server, target, part):
    server.serve("/a", DATA)
    target.parent.mkdir()
    (target.parent / "model.pt.part").write_bytes(part)
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == DATA


def test_a_part_that_is_whole_is_not_fetched_again(server, target):
    served = server.serve("/a", DATA)
    target.parent.mkdir()
    (target.parent / "model.pt.part").write_bytes(DATA)
    download(f"{server.address}/a", target, Remote(0, SUM))
    assert target.read_bytes() == DATA and len(served.asked) == 1  # answered: nothing more


def test_wrong_bytes_are_refused_and_nothing_is_left(server, target):
    server.serve("/a", b"\1" + DATA[1:])
    with pytest.raises(DownloadError, match=f"SHA-256.*expected was {SUM}; it was thrown away"):
        download(f"{server.address}/a", target, KNOWN)
    assert left(target) == []


def test_another_length_is_refused_before_it_arrives(server, target):
    served = server.serve("/a", DATA + b"more")
    with pytest.raises(DownloadError, match="10,240,004 bytes long there, 10,240,000 were expected"):
        download(f"{server.address}/a", target, KNOWN)
    assert left(target) == [] and len(served.asked) == 1


def test_a_web_page_is_no_model(server, target):
    server.serve("/a", b"<html>Please log in</html>", kind="text/html; charset=utf-8", large=False)
    with pytest.raises(DownloadError, match="the answer is a web page"):
        download(f"{server.address}/a", target, Remote())
    assert left(target) == []


@pytest.mark.parametrize(
    ("status", "message"), [(404, "no such file"), (401, "HF_TOKEN"), (403, "HF_TOKEN"), (410, "410 Gone")]
)
def test_refusals_say_what_to_do_and_are_not_repeated(server, target, status, message):
    server.serve("/a", DATA, statuses=[status] * 9)
    with pytest.raises(DownloadError, match=message):
        download(f"{server.address}/a", target, KNOWN)
    assert len(server.seen) == 1


def test_the_token_is_for_the_hub_alone(server, target):
    server.serve("/a", DATA)
    download(f"{server.address}/a", target, KNOWN, token="secret")
    assert server.seen == [("/a", "Bearer secret"), ("/store/a", None)]
    server.store = ""  # from here the hub redirects to itself
    look_up(f"{server.address}/a", "secret")
    assert server.seen[2:] == [("/a", "Bearer secret"), ("/store/a", "Bearer secret")]


def test_proxies_are_used(server, monkeypatch):
    server.serve("http://hub.example/a", b"abc", large=False)
    monkeypatch.setenv("http_proxy", server.address)
    assert look_up("http://hub.example/a") == Remote(3)


def test_nobody_there(target, monkeypatch):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with pytest.raises(DownloadError, match="127.0.0.1:9/a: cannot be reached .*refused"):
        look_up("http://127.0.0.1:9/a")
    with pytest.raises(DownloadError, match="cannot be reached"):
        download("http://127.0.0.1:9/a", target, KNOWN)
    with pytest.raises(DownloadError, match="cannot be reached"):
        look_up("http://no-such-host.invalid/a")


def test_encrypted_addresses_do_not_lead_out_of_encryption():
    request = module.urllib.request.Request("https://hub.example/a")
    with pytest.raises(DownloadError, match="leads to http://elsewhere/a, which is not encrypted"):
        module._Redirects().redirect_request(request, None, 302, "Found", None, "http://elsewhere/a")


def test_a_silent_server_counts_as_a_broken_connection(server, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 1.0)
    served = server.serve("/a", DATA)
    pause = threading.Event()
    whole = served.data

    class Slow(bytes):
        def __getitem__(self, key):
            pause.wait(60)
            return whole[key]

    served.data = Slow(whole)
    monkeypatch.setattr(module, "_pause", lambda failures: (pause.set(), setattr(served, "data", whole)))
    download(f"{server.address}/a", target, KNOWN)
    assert target.read_bytes() == whole
