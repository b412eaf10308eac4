"""What the environment says of hubs: mirrors, access, proxies, and that nothing is to be fetched; a disk that is full."""

import errno

import pytest

from asr.catalogue import download
from asr.catalogue.download import Remote
from asr.catalogue.hubs import HUBS
from asr.catalogue.published import PUBLISHED
from asr.catalogue.published_model import Repository
from asr.errors import DownloadError
from tests.hub import hub, row

HUGGING_FACE = HUBS["huggingface"]
REPOSITORY = Repository("someone/tiny", "abc123")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("", "https://huggingface.co/"),
        ("hf-mirror.example", "https://hf-mirror.example/"),
        ("http://10.0.0.1:8080/hub/\n", "http://10.0.0.1:8080/hub/"),
        ("http://[::1]:80", "http://[::1]:80/"),
    ],
)
def test_addresses_of_mirrors(given, address, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", given)
    assert HUGGING_FACE.url(REPOSITORY, "a b.pt") == f"{address}someone/tiny/resolve/abc123/a%20b.pt"


@pytest.mark.parametrize("given", ["not a host", "file:///etc", "ftp://host", "http://", "http://host:port", "://x"])
def test_what_is_no_address_of_a_mirror(given, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", given)
    with pytest.raises(DownloadError, match=f"HF_ENDPOINT must be the address of a mirror, https://HOST, is '{given}'"):
        HUGGING_FACE.url(REPOSITORY, "a")


@pytest.mark.parametrize(
    "given", ["http://host/ä", "http://host?x=1", "http://host/a\tb", "http://host/#a", "me:secret@host"]
)
def test_what_no_file_can_be_added_to(given, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", given)
    with pytest.raises(DownloadError, match="HF_ENDPOINT must be the address of a mirror") as raised:
        HUGGING_FACE.url(REPOSITORY, "a")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("host", ["..", "例子.测试", "a" * 64])
def test_a_host_that_nobody_can_be_asked_for(host):
    with pytest.raises(
        DownloadError, match=f"http://{host}/a: its host, or that of a proxy or of where it leads, is no name"
    ):
        download.look_up(f"http://{host}/a")


def test_tokens(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abc\r\n")
    assert HUGGING_FACE.token() == "hf_abc" and HUBS["modelscope"].token() == ""
    for secret in ("密码", "hf\nabc"):
        monkeypatch.setenv("HF_TOKEN", secret)
        with pytest.raises(DownloadError) as raised:
            HUGGING_FACE.token()
        assert str(raised.value) == "HF_TOKEN holds no access token: these are of letters and digits"


def test_offline_nothing_is_asked_for(run, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(PUBLISHED, "tiny", row())
    with hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        for value in ("1", "true", "YES"):
            monkeypatch.setenv("HF_HUB_OFFLINE", value)
            for command in (("model", "pull", "tiny"), ("model", "pull", "tiny", "--force")):
                status, out, err = run(*command)
                assert (status, out) == (1, "")
                assert err == "asr: tiny: is not here, and HF_HUB_OFFLINE forbids to fetch it from Hugging Face\n"
        assert server.seen == []
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        assert "404" in run("model", "pull", "tiny")[2] and server.seen


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "SOCKS5H://127.0.0.1:1080"])
def test_a_proxy_that_is_not_spoken_to_is_named(proxy, monkeypatch, tmp_path):
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setattr(download, "_pause", lambda failures: None)
    with pytest.raises(DownloadError, match="HTTPS_PROXY names a SOCKS proxy, which is not spoken here"):
        download.look_up("https://hub.example/a")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DownloadError, match="cannot be reached"):
        download.look_up("https://127.0.0.1:9/a")


def test_a_disk_that_fills_up_meanwhile(monkeypatch, tmp_path):
    target, content = tmp_path / "a", bytes(range(256)) * 10_000
    real = open

    def full(path, mode):
        file = real(path, mode)
        write = file.write

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                write(data[:1000])
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    with hub() as server:
        server.serve("/a", content)
        expected = download.look_up(f"{server.address}/a")
        monkeypatch.setattr(download, "open", full, raising=False)
        with pytest.raises(
            DownloadError, match=r"a.part: could not be stored \(No space left on device\); what has arrived is kept"
        ):
            download.download(f"{server.address}/a", target, expected)
        monkeypatch.setattr(download, "open", real)
        assert (tmp_path / "a.part").stat().st_size == 1000 and expected == Remote(len(content), expected.sha256)
        download.download(f"{server.address}/a", target, expected)
    assert target.read_bytes() == content
