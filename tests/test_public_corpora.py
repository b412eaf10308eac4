"""Each public corpus is read from a miniature in its published layout."""

import hashlib
import shlex
import sys
import tarfile

import pytest

from asr.corpus.corpora import CORPORA
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.public import find_root, read_public
from asr.errors import ManifestError
from asr.scoring.turns import read_turns
from asr.training.config import load_config
from tests.conftest import ROOT
from tests.downloads import served
from tests.miniatures import MINIATURES, aishell, audio, text_grid

pytest.importorskip("lhotse")

AUDIO = (".wav", ".flac", ".opus")
PAGE = (ROOT / "recipes/README.md").read_text(encoding="utf-8")


def recipe_of(name: str) -> str:
    """The folder of its recipe: the two Common Voices share one."""
    return "commonvoice" if name.startswith("commonvoice") else name


def test_every_corpus_has_a_miniature_and_a_recipe():
    assert list(MINIATURES) == list(CORPORA)
    for name in CORPORA:
        assert (ROOT / "recipes" / recipe_of(name) / "base.toml").is_file(), name


def test_every_corpus_has_a_row_with_its_page_and_the_budget_of_its_recipe():
    table = PAGE[PAGE.index("| name | corpus |") :].split("\n\n")[0].splitlines()[2:]
    rows = {cells[1]: cells[2:-1] for cells in ([cell.strip() for cell in row.split("|")] for row in table)}
    assert list(rows) == list(CORPORA)
    for name, (corpus, licence, hours, speakers, target, budget) in rows.items():
        assert CORPORA[name].page in corpus and licence and hours and speakers and target, name
        config = load_config(ROOT / "recipes" / recipe_of(name) / "base.toml")
        seconds = config.data.batch_seconds * config.train.accumulate
        total = config.train.max_steps * seconds / 3600
        assert budget.startswith(f"{config.train.max_steps:,} × {seconds:g} s = {total:,.0f} h ("), name


def test_the_mixture_of_the_multi_zh_recipe(run, tmp_path, monkeypatch):
    """Its first command, as it stands there: what a test or dev set says is not in it."""
    readme = (ROOT / "recipes/multi_zh/README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    command = next(line for line in readme.splitlines() if line.startswith("asr corpus mix"))
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    sources = [word for word in words[2:] if word.endswith(".jsonl")][:-1]
    for number, path in enumerate(sources):
        own = Utterance(f"u{number}", tmp_path / "wav" / f"{number}.wav", 1.0, f"第{number}句")
        shared = Utterance(f"s{number}", tmp_path / "wav" / f"s{number}.wav", 1.0, "都有")
        held_out = words[words.index(path) - 1] == "--exclude" and path != sources[-1]
        write_manifest(path, [own] if held_out else [own, shared])
    status, _, err = run(*words)
    assert status == 0, err
    trained = [path for path in sources if words[words.index(path) - 1] != "--exclude"]
    mixed = read_manifest("data/multi_zh/train.jsonl")
    assert len(trained) == 7 and sorted(u.text for u in mixed) == sorted(f"第{sources.index(p)}句" for p in trained)


@pytest.mark.parametrize("name", MINIATURES)
def test_a_corpus_in_its_published_layout(name, run, tmp_path):
    MINIATURES[name].write(tmp_path / "corpus")
    status, out, err = run("corpus", "prepare", name, "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    assert (status, out) == (0, ""), err
    manifests = {path.stem: read_manifest(path) for path in (tmp_path / "data").glob("*.jsonl")}
    assert {split: len(utterances) for split, utterances in manifests.items()} == MINIATURES[name].splits
    split, id, text, seconds, speaker = MINIATURES[name].first
    first = manifests[split][0]
    assert (first.id, first.text, first.duration, first.speaker, first.source) == (id, text, seconds, speaker, name)
    for utterance in (u for utterances in manifests.values() for u in utterances):
        assert len(utterance.read()) == pytest.approx(16000 * utterance.duration, abs=400)
        assert f"{utterance.source}: " not in err


def test_what_is_left_out_is_said(run, tmp_path):
    aishell(tmp_path / "a")
    MINIATURES["magicdata"].write(tmp_path / "m")
    err = run("corpus", "prepare", "aishell", "--from", tmp_path / "a", "--out", tmp_path / "1")[2]
    assert "2 utterances; 2 warnings, the first: No transcript: BAC009S0002W0003" in err
    assert "test.jsonl, 2 utterances; 7,174 fewer than were published: are all its archives unpacked?" in err
    err = run("corpus", "prepare", "magicdata", "--from", tmp_path / "m", "--out", tmp_path / "2")[2]
    assert "test.jsonl, 1 utterances; 1 without text" in err


def test_clips_that_cannot_be_read_are_left_out_and_named(run, tmp_path):
    MINIATURES["commonvoice_zh_cn"].write(tmp_path / "c")
    first, _, other = sorted((tmp_path / "c/zh-CN/clips").iterdir())[:3]
    first.write_bytes(b"")
    other.unlink()
    status, _, err = run("corpus", "prepare", "commonvoice_zh_cn", "--from", tmp_path / "c", "--out", tmp_path / "d")
    assert status == 0 and f"train.jsonl, 1 utterances; 2 warnings, the first: {tmp_path}/c/zh-CN/train.tsv:2: " in err
    assert f"{first}: the file is empty" in err and len(read_manifest(tmp_path / "d/dev.jsonl")) == 1


def test_of_an_array_the_first_microphone_is_read(tmp_path, run):
    MINIATURES["aishell4"].write(tmp_path / "corpus")
    run("corpus", "prepare", "aishell4", "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    first = read_manifest(tmp_path / "data/test.jsonl")[0]
    assert first.channel == 0 and abs(first.read()).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("corpus", "manifest", "meeting", "speakers"),
    [
        ("aishell4", "test.jsonl", "20200616_L_R001S04C01", 2),
        ("alimeeting", "test_far.jsonl", "R0004_M0046_MS002", 1),
    ],
)
def test_meetings_are_references_of_who_said_what(tmp_path, run, corpus, manifest, meeting, speakers):
    """Each recording of a manifest is one of its files, whatever its utterances are called."""
    MINIATURES[corpus].write(tmp_path / "corpus")
    run("corpus", "prepare", corpus, "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    ((name, conversation),) = read_turns(tmp_path / "data" / manifest).items()
    assert name == meeting and len({turn.speaker for turn in conversation.turns}) == speakers
    assert all(turn.text for turn in conversation.spoken)


def ali_meeting_of_two(root, in_the_array=("N_SPK0043",)):
    """The dev meeting with a second headset, whose wearer talks until its end, and with these tiers of the array."""
    MINIATURES["alimeeting"].write(root)
    near, far = root / "Eval_Ali/Eval_Ali_near", root / "Eval_Ali/Eval_Ali_far"
    second = [(0, 1.25, ""), (1.25, 2.5, "好，"), (2.5, 3, "走了")]
    audio(near / "audio_dir/R0004_M0046_M_SPK0044.wav", 3.0)
    text_grid(near / "textgrid_dir/R0004_M0046_M_SPK0044.TextGrid", {"R0004_M0046_M_SPK0044": second}, 3.0)
    array = far / "textgrid_dir/R0004_M0046.TextGrid"
    if in_the_array:
        text_grid(array, {name: [(0, 0.5, ""), (0.5, 1.5, "我们开始"), (1.5, 2, "")] for name in in_the_array}, 2.0)
    else:
        array.unlink()
        text_grid(far / "textgrid_dir/R0009_M0009.TextGrid", {"N_SPK0099": [(0, 1.5, "别的")]}, 2.0)
        audio(far / "audio_dir/R0009_M0009_MS002.wav", 2.0, channels=8)


@pytest.mark.parametrize("in_the_array", [("N_SPK0043",), ()])
def test_an_array_hears_everybody_who_wears_a_headset(tmp_path, run, in_the_array):
    """Who is missing in its own TextGrid, or all where it has none, is known from the headsets', so long as it records."""
    ali_meeting_of_two(tmp_path / "corpus", in_the_array)
    status, _, err = run("corpus", "prepare", "alimeeting", "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    assert status == 0, err
    far = [u for u in read_manifest(tmp_path / "data/dev_far.jsonl") if u.speaker != "0099"]
    said = [(u.id, u.speaker, u.text, u.start, u.duration, u.channel) for u in far]
    assert said == [
        ("R0004_M0046-0043-1", "0043", "我们开始", 0.5, 1.0, 0),
        ("R0004_M0046-0044-1", "0044", "好", 1.25, 0.75, 0),
    ]
    assert {u.audio.name for u in far} == {"R0004_M0046_MS002.wav"}
    assert [u.text for u in read_manifest(tmp_path / "data/dev_near.jsonl")] == ["我们开始", "好", "走了"]
    conversation = read_turns(tmp_path / "data/dev_far.jsonl")["R0004_M0046_MS002"]
    assert {turn.speaker for turn in conversation.turns} == {"0043", "0044"}


def test_an_array_that_knows_everybody_is_left_as_it_is(tmp_path, run):
    ali_meeting_of_two(tmp_path / "corpus", ("N_SPK0043", "N_SPK0044"))
    run("corpus", "prepare", "alimeeting", "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    found = [(u.speaker, u.text) for u in read_manifest(tmp_path / "data/dev_far.jsonl")]
    assert found == [("0043", "我们开始"), ("0044", "我们开始")]


def test_a_dialect_and_a_gender_are_kept(tmp_path, run):
    MINIATURES["kespeech"].write(tmp_path / "corpus")
    run("corpus", "prepare", "kespeech", "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    assert read_manifest(tmp_path / "data/train_phase1.jsonl")[0].extra == {"dialect": "Zhongyuan"}
    MINIATURES["fleurs"].write(tmp_path / "fleurs")
    run("corpus", "prepare", "fleurs", "--from", tmp_path / "fleurs", "--out", tmp_path / "data2")
    assert [u.extra["gender"] for u in read_manifest(tmp_path / "data2/train.jsonl")] == ["male", "female"]


def test_the_folder_above_or_within_is_found(tmp_path):
    aishell(tmp_path / "corpora/aishell")
    for given in ("corpora", "corpora/aishell", "corpora/aishell/data_aishell"):
        assert find_root(CORPORA["aishell"], tmp_path / given).resolve() == (tmp_path / "corpora/aishell").resolve()


def test_a_wrong_folder_is_told_what_it_should_hold(run, tmp_path):
    aishell(tmp_path / "corpus")
    for wav in (tmp_path / "corpus/data_aishell/wav/dev").rglob("*.wav"):
        wav.unlink()
    status, _, err = run("corpus", "prepare", "aishell", "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    assert status == 1 and not (tmp_path / "data").exists()
    assert (
        "is not AISHELL-1 as it is published; there should be data_aishell/transcript/aishell_transcript_v0.8.txt"
        in err
    )
    assert "and there is no data_aishell/wav/dev/*/*.wav. Are all its archives unpacked?" in err
    status, _, err = run("corpus", "prepare", "aishell", "--from", tmp_path / "none", "--out", tmp_path / "data")
    assert status == 1 and "none: no such folder" in err
    status, _, err = run("corpus", "prepare", "aishell", "--out", tmp_path / "data")
    assert status == 2 and "where does aishell lie?" in err


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_says_what_its_folder_should_hold(name, run, tmp_path):
    """Another corpus lies there."""
    MINIATURES["thchs30" if name != "thchs30" else "stcmds"].write(tmp_path / "corpus")
    status, _, err = run("corpus", "prepare", name, "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    expected = ", ".join(CORPORA[name].expects)
    assert status == 1 and not (tmp_path / "data").exists()
    assert f"is not {CORPORA[name].title} as it is published; there should be {expected} in it, and there is no " in err
    assert err.strip().endswith("Are all its archives unpacked?")


@pytest.mark.parametrize("name", [name for name, corpus in CORPORA.items() if corpus.recipe])
def test_a_recording_that_cannot_be_used_is_left_out_and_named(name, run, tmp_path):
    """Of many; where a recipe reads no audio, one that is not there."""
    MINIATURES[name].write(tmp_path / "corpus")
    bad = min(p for p in (tmp_path / "corpus").rglob("*") if p.suffix in AUDIO and not p.is_symlink())
    if name == "wenetspeech":
        bad.unlink()
    else:
        bad.write_bytes(b"")
    out = tmp_path / "data"
    status, _, err = run("corpus", "prepare", name, "--from", tmp_path / "corpus", "--out", out)
    why = "no such file" if name == "wenetspeech" else "the file is empty"
    said = (out / "warnings.txt").read_text() if (out / "warnings.txt").exists() else err
    assert status == 0 and f"warnings, the first: {tmp_path}" in err and f"{bad.name}: {why}" in said, err
    left = sum(len(read_manifest(path)) for path in out.glob("*.jsonl"))
    assert 0 < sum(MINIATURES[name].splits.values()) - left <= 3


@pytest.mark.parametrize("name", ["aishell", "thchs30", "alimeeting", "kespeech"])
def test_a_recording_of_no_samples_is_left_out_and_named(name, run, tmp_path):
    """A header alone, as a recorder leaves that was switched off."""
    MINIATURES[name].write(tmp_path / "corpus")
    bad = min(p for p in (tmp_path / "corpus").rglob("*.wav") if not p.is_symlink())
    bad.write_bytes(bad.read_bytes()[:44])
    out = tmp_path / "data"
    status, _, err = run("corpus", "prepare", name, "--from", tmp_path / "corpus", "--out", out)
    said = (out / "warnings.txt").read_text() if (out / "warnings.txt").exists() else err
    assert status == 0 and f"{bad.name}: holds no audio" in said, err
    assert sum(len(read_manifest(path)) for path in out.glob("*.jsonl")) < sum(MINIATURES[name].splits.values())


def test_all_warnings_are_listed_beside_the_manifests(run, tmp_path):
    aishell(tmp_path / "corpus")
    for force in ((), ("--force",)):
        err = run("corpus", "prepare", "aishell", "--from", tmp_path / "corpus", "--out", tmp_path / "data", *force)[2]
        listed = (tmp_path / "data/warnings.txt").read_text().splitlines()
        assert f"2 warnings, the first: {listed[0]} ({tmp_path}/data/warnings.txt lists them)" in err
        assert listed[0] == "No transcript: BAC009S0002W0003" and len(listed) == 2


@pytest.mark.parametrize(
    ("name", "file", "content", "said"),
    [
        (
            "aishell",
            "data_aishell/transcript/aishell_transcript_v0.8.txt",
            "BAC009S0002W0001 今天".encode("gbk"),
            "iconv",
        ),
        ("primewords", "primewords_md_2018_set1/set1_transcript.json", b"[{", "as it was published: unpack it again"),
        ("aishell4", "test/wav/._mac.flac", b"x", "were left by macOS and are none of the corpus: delete them"),
    ],
)
def test_what_a_recipe_stumbles_over_is_named(name, file, content, said, run, tmp_path):
    MINIATURES[name].write(tmp_path / "corpus")
    (tmp_path / "corpus" / file).write_bytes(content)
    status, _, err = run("corpus", "prepare", name, "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    assert status == 1 and f"lhotse's recipe for {name} fails here" in err and said in err
    assert name == "aishell4" or f", reading {tmp_path}/corpus/{file})" in err


def test_a_row_of_fleurs_with_too_few_columns(tmp_path):
    MINIATURES["fleurs"].write(tmp_path / "corpus")
    (tmp_path / "corpus/cmn_hans_cn/dev.tsv").write_text("1\tx.wav\t你好\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="dev.tsv:1: a row must have 7 columns"):
        read_public("fleurs", tmp_path / "corpus")


def test_without_lhotse_the_extra_is_named(run, tmp_path, monkeypatch):
    aishell(tmp_path / "corpus")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lhotse"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lhotse", None)
    status, _, err = run("corpus", "prepare", "aishell", "--from", tmp_path / "corpus", "--out", tmp_path / "data")
    assert status == 1 and "pip install 'mandarin-asr[corpora]'" in err


@pytest.fixture
def mirror(tmp_path):
    """A server of this machine that hands out a miniature of THCHS-30 as OpenSLR does."""
    MINIATURES["thchs30"].write(tmp_path / "original")
    (tmp_path / "www/18").mkdir(parents=True)
    for archive, folder in (("data_thchs30", "data_thchs30"), ("test-noise", "x"), ("resource", "x")):
        with tarfile.open(tmp_path / f"www/18/{archive}.tgz", "w:gz") as tar:
            if folder == archive:
                tar.add(tmp_path / "original" / folder, folder)
            else:
                tar.add(audio(tmp_path / "noise/noise.wav"), f"{archive}/noise.wav")

    with served(tmp_path / "www") as address:
        yield address


def test_download_then_prepare(run, tmp_path, mirror, monkeypatch):
    archive = tmp_path / "www/18/data_thchs30.tgz"
    monkeypatch.setitem(CORPORA["thchs30"].md5, "data_thchs30.tgz", hashlib.md5(archive.read_bytes()).hexdigest())
    status, _, err = run("corpus", "download", "thchs30", "--to", tmp_path / "got", "--mirror", mirror)
    assert status == 0, err
    assert f"Next: asr corpus prepare thchs30 --from {tmp_path / 'got'} --out data/thchs30" in err
    status, _, err = run("corpus", "prepare", "thchs30", "--from", tmp_path / "got", "--out", tmp_path / "data")
    assert status == 0 and len(read_manifest(tmp_path / "data/test.jsonl")) == 2, err


def test_a_download_with_another_checksum_is_refused(run, tmp_path, mirror):
    status, _, err = run("corpus", "download", "thchs30", "--to", tmp_path / "got", "--mirror", mirror)
    assert status == 1 and "should be 2d2252bde5c8429929e1841d4cb95e90; delete it and download again" in err


def test_a_corpus_that_must_be_asked_for(run, tmp_path):
    status, _, err = run("corpus", "download", "aishell2", "--to", tmp_path / "got")
    assert status == 1 and "get it from https://www.aishelltech.com/aishell_2, then prepare it" in err


def test_a_server_that_does_not_answer(run, tmp_path):
    status, _, err = run("corpus", "download", "thchs30", "--to", tmp_path / "got", "--mirror", "http://127.0.0.1:9")
    assert status == 1 and "the download failed" in err and "--mirror" in err
