"""asr corpus check, info, split and mix."""

import json
import random
from dataclasses import replace

import pytest

from asr.corpus.checking import check_manifest, spoken_length, unknown_characters
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.selecting import mix, split
from asr.errors import AudioError, ManifestError
from tests.sounds import silence, sine, write_wav


@pytest.fixture
def folder(tmp_path):
    """good.wav and other.wav of 2 s, quiet.wav of 2 s without sound, and bad.wav, which is none."""
    write_wav(tmp_path / "good.wav", sine(2))
    write_wav(tmp_path / "other.wav", sine(2, hz=300))
    write_wav(tmp_path / "quiet.wav", silence(2))
    (tmp_path / "bad.wav").write_text("no audio")
    return tmp_path


def manifest(folder, name, *rows):
    """Rows of (id, audio, text) and whatever else is different from two seconds by S1."""
    path = folder / f"{name}.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for id, audio, text, *more in rows:
            line = {"id": id, "audio": audio, "duration": 2.0, "text": text, "speaker": "S1"} | (
                more[0] if more else {}
            )
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def test_nothing_wrong(run, folder):
    path = manifest(folder, "train", ("a", "good.wav", "今天天气很好"))
    assert run("corpus", "check", path) == (0, f"{path}: 1 utterances, 0.00 h; nothing wrong\n", "")


def test_broken_audio_and_texts(run, folder):
    path = manifest(
        folder,
        "train",
        ("a", "good.wav", "今天天气很好"),
        ("b", "bad.wav", "今天"),
        ("c", "none.wav", "今天"),
        ("d", "good.wav", "今天", {"start": 1.0}),
        ("e", "good.wav", "，。"),
        ("f", "good.wav", "今" * 23),
        ("g", "quiet.wav", "今天"),
        ("h", "good.wav", "今", {"duration": 2.2}),
    )
    status, out, _ = run("corpus", "check", path, "--details", folder / "found.tsv")
    assert status == 1
    lines = out.splitlines()
    assert lines[1].startswith(f"  ERROR: 2 with audio that cannot be read: {path}:2 (b): ")
    assert f"{path}:3 (c): {folder}/none.wav: no such file" in lines[1]
    assert (
        lines[2]
        == f"  ERROR: 1 with a file that ends before the utterance does: {path}:4 (d): ends at 3.00 s of 2.00 s"
    )
    assert lines[3] == f"  ERROR: 1 whose text holds no character: {path}:5 (e): '，。'"
    assert lines[4] == f"  warning: 1 with more than 11 characters a second: {path}:6 (f): 11.5 in 2.00 s, {'今' * 20}"
    assert lines[5] == f"  warning: 1 with fewer than 0.5 characters a second: {path}:8 (h): 0.5 in 2.20 s, 今"
    assert len(lines) == 6
    rows = [line.split("\t") for line in (folder / "found.tsv").read_text(encoding="utf-8").splitlines()]
    assert [(row[0], row[2]) for row in rows[1:]] == [
        ("error", "b"),
        ("error", "c"),
        ("error", "d"),
        ("error", "e"),
        ("warning", "f"),
        ("warning", "h"),
    ]


def test_a_channel_that_is_not_there_and_a_text_that_nobody_could_say(run, folder):
    path = manifest(
        folder, "train", ("a", "good.wav", "今天", {"channel": 1}), ("b", "good.wav", "今" * 101, {"channel": 0})
    )
    status, out, _ = run("corpus", "check", path)
    lines = out.splitlines()
    assert status == 1 and len(lines) == 3
    assert lines[1].endswith("(a): " + f"{folder}/good.wav: has 1 channels, counted from 0; there is no channel 1")
    assert lines[2].startswith(f"  ERROR: 1 with more than 50 characters a second: {path}:2 (b): 50.5 in 2.00 s")


def test_a_short_utterance_behind_the_end_of_its_file(run, folder):
    path = manifest(folder, "train", ("a", "good.wav", "今", {"start": 2.0, "duration": 0.45}))
    status, out, _ = run("corpus", "check", path)
    assert status == 1 and "(a): ends at 2.45 s of 2.00 s" in out
    with pytest.raises(AudioError, match="duration must be at most what .* holds"):
        read_manifest(path)[0].read()


def test_decoding_finds_silence_and_a_damaged_end(run, folder):
    good = (folder / "good.wav").read_bytes()
    (folder / "cut.wav").write_bytes(good[: len(good) // 2])
    path = manifest(folder, "train", ("a", "quiet.wav", "今天"), ("b", "cut.wav", "今天"))
    status, out, _ = run("corpus", "check", path, "--decode")
    assert status == 1 and "ERROR: 1 with audio that cannot be read" in out and "(b)" in out
    assert f"warning: 1 without any sound: {path}:1 (a)" in out


def test_what_train_and_test_share(run, folder):
    train = manifest(folder, "train", ("a", "good.wav", "今天天气很好"), ("b", "other.wav", "明天"))
    test = manifest(
        folder,
        "test",
        ("x", "good.wav", "后天", {"speaker": "S2"}),
        ("y", "other.wav", "今天，天气很好！", {"start": 0.5, "duration": 1.5, "speaker": "S3"}),
        ("z", "other.wav", "昨天", {"start": 1.0, "duration": 1.0}),
    )
    status, out, _ = run("corpus", "check", train, test)
    assert status == 1
    assert f"ERROR: 3 that share a piece of audio: {test}:1 (x) and {train}:1 (a)" in out
    assert f"{test}:2 (y) and {train}:2 (b)" in out  # a part of it
    assert f"warning: 1 of a sentence that is there too: {test}:2 (y) and {train}:1 (a)" in out
    assert f"warning: 1 by a speaker who is there too: {test}:3 (z) and" in out
    assert "2 of 10 characters are unknown (20.00 %), in 2 utterances: 后×1 昨×1" in out


def test_later_manifests_are_compared_with_all_that_are_trained_on(run, folder):
    one = manifest(folder, "one", ("a", "good.wav", "今天"))
    two = manifest(folder, "two", ("b", "other.wav", "昨天"))
    test = manifest(folder, "test", ("x", "other.wav", "昨天"))
    assert run("corpus", "check", one, two, test)[0] == 0
    status, out, _ = run("corpus", "check", "--training", 2, one, two, test)
    assert status == 1
    assert f"ERROR: 1 that share a piece of audio: {test}:1 (x) and {two}:1 (b)" in out
    assert "every character is known" in out and "unknown (" not in out


def test_speakers_of_two_corpora_are_not_the_same_for_having_one_name(run, folder):
    train = manifest(folder, "train", ("a", "good.wav", "今天", {"source": "one"}))
    test = manifest(folder, "test", ("b", "other.wav", "明天天", {"source": "two"}))
    assert "by a speaker" not in run("corpus", "check", train, test)[1]


def test_an_input_is_never_written_over(run, folder):
    path = manifest(folder, "train", ("a", "good.wav", "今天天气很好"))
    before = path.read_text(encoding="utf-8")
    for command in (("check", path, "--details", path), ("tokens", path, "--out", path), ("cmvn", path, "--out", path)):
        status, _, err = run("corpus", *command, "--force")
        assert status == 1 and "is an input; choose another name" in err
    for command in (
        ("import", path),
        ("mix", path),
        ("mix", f"{path}=2"),
        ("mix", folder / "x.jsonl", "--exclude", path),
    ):
        (folder / "x.jsonl").write_text(before, encoding="utf-8")
        status, _, err = run("corpus", *command, "--out", path, "--force")
        assert status == 1 and "is an input; choose another name" in err
    assert path.read_text(encoding="utf-8") == before


def test_what_leaves_nothing_to_do_is_wrong_usage(run, folder):
    path = manifest(folder, "train", ("a", "good.wav", "今天天气很好"))
    status, _, err = run("corpus", "check", "--training", "2", path, path)
    assert status == 2 and "leaves none to compare with them" in " ".join(err.split())
    status, _, err = run("corpus", "split", path, "--out", folder, "--dev", "0.5", "--test", "0.5")
    assert status == 2 and "leave nothing to train on" in " ".join(err.split())


def test_a_table_is_no_text(run, folder):
    (folder / "t.tsv").write_text("id\ttext\na\t今天\n", encoding="utf-8")
    status, _, err = run("corpus", "tokens", folder / "t.tsv", "--out", folder / "tokens.txt")
    assert status == 1 and "t.tsv: is a table, whose lines are no sentences; `asr corpus import`" in err


def test_unknown_characters_of_a_token_table(run, folder):
    path = manifest(folder, "train", ("a", "good.wav", "今天ABC"))
    (folder / "tokens.txt").write_text("<blank>\n<unk>\n<sos>\n<eos>\n今\nA\n", encoding="utf-8")
    out = run("corpus", "check", path, "--tokens", folder / "tokens.txt")[1]
    assert "3 of 5 characters are unknown (60.00 %), in 1 utterances: 天×1 B×1 C×1" in out
    known = unknown_characters([Utterance("a", folder, 1.0, "今")], {"今"})
    assert known.line() == "every character is known"


def test_latin_letters_are_spoken_faster():
    assert spoken_length("今天OKAY，很好") == 5
    assert spoken_length("2024年") == 5
    assert spoken_length("！") == 0


def test_info(run, folder):
    path = manifest(
        folder,
        "train",
        ("a", "good.wav", "今天ok", {"duration": 1800.0, "source": "x"}),
        ("b", "good.wav", "今天", {"duration": 900.0, "speaker": "S2"}),
        ("c", "good.wav", "8天", {"duration": 900.0, "speaker": ""}),
    )
    status, out, _ = run("corpus", "info", path)
    assert status == 0
    assert out.splitlines() == [
        str(path),
        "3 utterances, 1.00 h",
        "seconds: shortest 900.00  1 % 900.00  50 % 900.00  99 % 1782.00  longest 1800.00",
        "characters: 8, 0.00 a second; 5 different ones, 3 of them only once",
        "utterances with Latin letters: 1; with digits: 1",
        "sources: x 0.50 h, none 0.50 h",
        "speakers: 2; 0.25 h by nobody named",
        "  S1\t0.500 h",
        "  S2\t0.250 h",
    ]


def test_info_lists_many_speakers_only_when_asked(run, folder):
    rows = [(f"u{i}", "good.wav", "今天", {"speaker": f"S{i:02d}", "duration": 10.0 + i}) for i in range(30)]
    path = manifest(folder, "train", *rows)
    assert len(run("corpus", "info", path)[1].splitlines()) == 5 + 11
    assert len(run("corpus", "info", path, "--speakers")[1].splitlines()) == 5 + 30


@pytest.fixture
def many(tmp_path):
    """300 utterances by 30 speakers of 1 to 3 s, every sentence said by three of them."""
    chooser = random.Random(3)
    return [
        Utterance(
            f"u{i:03d}",
            tmp_path / f"{i}.wav",
            chooser.uniform(1, 3),
            f"第{i % 100}句",
            speaker=f"S{i // 10}",
            source="x",
        )
        for i in range(300)
    ]


def seconds(utterances):
    return sum(u.duration for u in utterances)


def test_a_split_by_speaker_shares_none_and_keeps_the_shares(many):
    parts = split(many, {"dev": 0.1, "test": 0.2}, "speaker")
    assert sorted(u.id for part in parts.values() for u in part) == [u.id for u in many]
    speakers = [{u.speaker for u in part} for part in parts.values()]
    assert not (speakers[0] & speakers[1] or speakers[0] & speakers[2] or speakers[1] & speakers[2])
    assert seconds(parts["dev"]) / seconds(many) == pytest.approx(0.1, abs=0.02)
    assert seconds(parts["test"]) / seconds(many) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_a_split_leaves_something_to_train_on(tmp_path, seed):
    lengths = {"A": 100, "B": 100, "C": 9800}
    said = [Utterance(s, tmp_path / s, float(seconds), s, speaker=s) for s, seconds in lengths.items()]
    parts = split(said, {"dev": 0.1, "test": 0.1}, "speaker", seed)
    assert [u.id for u in parts["train"]] == ["C"] and len(parts["dev"]) == len(parts["test"]) == 1


def test_a_split_by_sentence_shares_none(many):
    parts = split(many, {"dev": 0.1}, "text")
    assert not {u.text for u in parts["train"]} & {u.text for u in parts["dev"]}
    assert {u.speaker for u in parts["train"]} & {u.speaker for u in parts["dev"]}


def test_a_split_depends_on_the_seed_alone(many):
    again = split(many[::-1], {"dev": 0.1}, "speaker")
    assert again == split(many, {"dev": 0.1}, "speaker")
    assert again["dev"] != split(many, {"dev": 0.1}, "speaker", seed=2)["dev"]


def test_too_few_speakers_to_split(many):
    with pytest.raises(ManifestError, match="2 different speakers are too few for 3 splits; try another --by"):
        split(many[:20], {"dev": 0.1, "test": 0.1}, "speaker")


def test_split_writes_manifests_and_overwrites_none(run, folder, many):
    source = folder / "all.jsonl"
    write_manifest(source, many)
    status, _, err = run("corpus", "split", source, "--out", folder / "parts", "--dev", "0.1", "--test", "0")
    assert status == 0 and "dev.jsonl: 30 utterances" in err
    assert sorted(p.name for p in (folder / "parts").iterdir()) == ["dev.jsonl", "train.jsonl"]
    assert run("corpus", "split", source, "--out", folder / "parts")[0] == 1
    assert run("corpus", "split", source, "--out", folder / "parts", "--by", "mood")[0] == 2


def test_a_mixture_takes_parts_and_multiples(many):
    mixed, left_out = mix([("a", many[:100], 0.5), ("b", many[100:200], 1.0), ("c", many[200:210], 2.5)])
    assert left_out == 0 and len(mixed) == 50 + 100 + 25 and len({u.id for u in mixed}) == 175
    assert sum(u.id.endswith("-2") for u in mixed) == 10 and sum(u.id.endswith("-3") for u in mixed) == 5
    assert mix([("a", many[:100], 0.5)], seed=2)[0] != mix([("a", many[:100], 0.5)], seed=1)[0]


def test_ids_of_two_corpora_may_be_the_same(many):
    mixed, _ = mix([("a", many[:5], 1.0), ("b", many[:5], 1.0)])
    assert [u.id for u in mixed][3:7] == ["u003", "u004", "b-u000", "b-u001"]
    mixed, _ = mix([("a", many[:1], 1.0)] * 3)
    assert [u.id for u in mixed] == ["u000", "a2-u000", "a3-u000"]
    read = [replace(u, where=f"a.jsonl:{n}") for n, u in enumerate(many[:5], 1)]
    with pytest.raises(ManifestError, match="a.jsonl:1: 'u000' is in the mixture already; is a manifest named twice"):
        mix([("a", read, 1.0), ("b", many[5:9], 1.0), ("a", read, 1.0)])


def test_a_mixture_without_the_sentences_of_a_test_set(run, folder, many):
    write_manifest(folder / "train.jsonl", many[:150])
    write_manifest(folder / "test.jsonl", many[250:260])
    out = folder / "mixed.jsonl"
    arguments = ("corpus", "mix", f"{folder / 'train.jsonl'}=1", "--exclude", folder / "test.jsonl", "--out", out)
    status, _, err = run(*arguments)
    assert status == 0 and "140 utterances" in err and "10 left out by --exclude" in err
    assert not {u.text for u in read_manifest(out)} & {u.text for u in many[250:260]}
    assert run(*arguments)[0] == 1  # it is there already
    status, _, err = run("corpus", "mix", f"{folder / 'train.jsonl'}=many", "--out", folder / "m2.jsonl")
    assert status == 2 and "must have the form MANIFEST or MANIFEST=TIMES" in err


def test_tags_in_texts_are_warned_of(tmp_path):
    """They would be learned as letters."""
    texts = ("今天<noise>天气很好", "[LAUGHTER]今天天气很好", "一<二天气很好")
    utterances = [
        Utterance(str(n), write_wav(tmp_path / f"{n}.wav", sine(2.0)), 2.0, text, where=f"m:{n}")
        for n, text in enumerate(texts)
    ]
    (found,) = check_manifest(utterances)
    assert not found.serious and found.line() == (
        "warning: 2 whose text holds tags, which nobody says: m:0 (0): <noise> in 今天<noise>天气很好 is learned as NOISE;"
        " m:1 (1): [LAUGHTER] in [LAUGHTER]今天天气很好 is learned as LAUGHTER; take them out of the texts"
    )
