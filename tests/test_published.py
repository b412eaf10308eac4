"""The list of published models, and where what is fetched of them goes."""

from pathlib import Path

from asr.catalogue import published, pull
from asr.catalogue.published import PUBLISHED
from asr.catalogue.published_model import Repository
from tests.conftest import imported_by


def test_the_cache_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert pull.cache() == tmp_path / ".cache/mandarin-asr"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert pull.cache() == Path("/elsewhere/mandarin-asr")


def test_addresses_are_those_of_the_hubs(monkeypatch):
    for variable in ("HF_ENDPOINT", "MODELSCOPE_DOMAIN", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    model = published.published("firered2-aed")
    urls = {hub: pull.HUBS[hub].url(repository, "dict.txt") for hub, repository in model.repositories.items()}
    assert urls == {
        "huggingface": "https://huggingface.co/FireRedTeam/FireRedASR2-AED/resolve"
        "/2304afed56eacfee6256dee5937ed22ffa0b64ec/dict.txt",
        "modelscope": "https://modelscope.cn/models/xukaituo/FireRedASR2-AED/resolve/master/dict.txt",
    }
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "www.modelscope.cn")
    monkeypatch.setenv("HF_TOKEN", "secret")
    hubs = pull.HUBS
    assert hubs["huggingface"].url(Repository("a/b"), "c") == "https://mirror.example/a/b/resolve/main/c"
    assert hubs["modelscope"].url(Repository("a/b"), "c") == "https://www.modelscope.cn/models/a/b/resolve/master/c"
    assert (hubs["huggingface"].token(), hubs["modelscope"].token()) == ("secret", "")


def test_rows_are_complete_and_claim_nothing_unread():
    for name, model in PUBLISHED.items():
        assert name == model.name and model.title and model.licence and model.source and model.files
        assert set(model.repositories) <= set(pull.HUBS) and not model.run
        for file in model.files:
            assert len(file.sha256) in (0, 64) and not Path(file.path).is_absolute() and ".." not in file.path


def test_listing_loads_no_torch():
    assert not imported_by("from asr.catalogue.listing import table; table()") & {"torch", "numpy", "rich", "requests"}
