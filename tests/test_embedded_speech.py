"""Speech that is joined, cut and synthesised for the embedded model, and sounds without speech."""

import sys
from itertools import islice

import numpy as np
import pytest

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.errors import AsrError
from asr.model.folder import save_model
from asr.text.tokenizer import TokenTable
from tests.conftest import ROOT, random_model, require_program
from tests.sounds import sine

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import invented  # noqa: E402
import joining  # noqa: E402
import nonspeech  # noqa: E402
import phrases  # noqa: E402
import splicing  # noqa: E402
import synthesize  # noqa: E402

from tests.test_embedded_recipe import build


def test_spelling_takes_as_few_words_as_possible():
    words = {word: [] for word in ("今", "天", "今天", "天气", "气")}
    assert phrases.spell("今天天气", words) == ["今天", "天气"]
    assert phrases.spell("天今", words) == ["天", "今"]
    assert phrases.spell("今年", words) is None


def test_tempo_changes_length_and_keeps_pitch():
    fast = joining.change_tempo(sine(2.0), 1.5)
    assert len(fast) == pytest.approx(2.0 * SAMPLE_RATE / 1.5, rel=0.03)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(fast) == pytest.approx(440, abs=5)


def test_cross_fade_keeps_the_level():
    ones = np.ones(2000, np.float32)
    joined = joining.cross_fade([ones, ones, ones], 0.02)
    assert len(joined) == 6000 - 2 * int(0.02 * SAMPLE_RATE)
    assert np.allclose(joined, 1, atol=1e-5)


@pytest.fixture
def synthetic(speech_folder, tmp_path, tokenizer, monkeypatch):
    """The folder with everything that synthesize.py makes, a few sentences of each kind."""
    pytest.importorskip("pypinyin")
    require_program("espeak-ng")
    monkeypatch.setattr(splicing, "MOST_LOST", float("inf"))  # the model below has learnt nothing
    monkeypatch.setattr(synthesize, "NUMBERS", dict.fromkeys(synthesize.NUMBERS, 12))
    build(speech_folder, tmp_path / "out", "--joined", "2")
    table = TokenTable([*tokenizer.table.tokens, *"今天气很好坏你"])
    save_model(tmp_path / "model", random_model(vocabulary=len(table)), table)
    command = [str(speech_folder), str(tmp_path / "out"), "--model", str(tmp_path / "model"), "--processes", "1"]
    synthesize.main([*command, "--neural", str(tmp_path / "out/aishell.jsonl")])
    return tmp_path / "out"


def test_synthetic_speech_of_every_kind(synthetic, capsys):
    for kind in synthesize.NUMBERS:
        made = read_manifest(synthetic / f"{kind}.jsonl")
        assert len(made) == 12 and all(u.text for u in made)
        for utterance in made:
            assert len(read_samples(utterance.audio)) == pytest.approx(utterance.duration * SAMPLE_RATE, abs=2)
        assert not any("今天天气很好" in u.text for u in made)  # the dev sentence
    assert {u.text.replace("你好", "") for u in read_manifest(synthetic / "strings.jsonl")} == {""}


def test_what_is_made_is_not_made_again(synthetic, speech_folder):
    (synthetic / "strings.jsonl").unlink()
    before = {p: p.stat().st_mtime_ns for p in synthetic.rglob("*.wav")}
    synthesize.main([str(speech_folder), str(synthetic), "--model", "nowhere", "--processes", "1"])
    changed = {p.parent.name for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {"strings"}


def test_random_phrases_are_words_and_crossed_ones_keep_their_order():
    random = np.random.default_rng(0)
    sentences = [["a1", "a2", "a3"], ["b1", "b2"]]
    whole = phrases.phrases(sentences, ["w"], (1.0, 0.0), random)
    assert {tuple(next(whole)) for _ in range(8)} == {tuple(s) for s in sentences}
    for _ in range(50):
        crossed = phrases.crossed(sentences, random)
        assert [w for w in crossed if w[0] == "a"] == sorted(w for w in crossed if w[0] == "a")
    assert set(next(phrases.phrases(sentences, ["word"], (0.0, 0.0), random))) == {"word"}


def test_syllables_sound_as_in_a_row():
    pytest.importorskip("pypinyin")
    assert phrases.syllables("一个人不会") == ["yi2", "ge4", "ren2", "bu2", "hui4"]
    assert phrases.syllables("你好") == ["ni2", "hao3"]
    assert phrases.syllables("我的女儿") == ["wo3", "de5", "nv3", "er2"]


def test_a_third_tone_is_cut_short_and_a_neutral_one_borrowed(tmp_path):
    recorded = {"hao3": tmp_path / "hao3", "de2": tmp_path / "de2", "de4": tmp_path / "de4"}
    assert synthesize.piece_of(recorded, "hao3", last=True).kept == 1
    assert synthesize.piece_of(recorded, "hao3", last=False).kept < 0.8
    assert synthesize.piece_of(recorded, "de5", last=False).audio == tmp_path / "de4"
    assert synthesize.piece_of(recorded, "de3", last=False) is None


def test_alignment_finds_the_frames_of_the_tokens():
    """Six frames of a CTC head over blank, a and b: a, a, blank, a, b, blank."""
    said = [1, 1, 0, 1, 2, 0]
    log_probs = np.log(np.full((6, 3), 0.1))
    log_probs[range(6), said] = np.log(0.8)
    log_probs[1, 1] = np.log(0.7)  # the first of two frames is the more certain
    frames, total = splicing.align(log_probs, [1, 1, 2], blank=0)
    assert frames == [0, 3, 4] and total == pytest.approx(5 * np.log(0.8) + np.log(0.7))
    assert splicing.align(log_probs[:3], [1, 1, 2], blank=0)[0] == []  # too short: a blank must part the same token


def test_cuts_are_where_it_is_quiet():
    samples = sine(1.0)
    samples[4800:5120] = 0  # 0.30 to 0.32 s
    first, cut, last = splicing.bounds(samples, [0.2, 0.5])
    assert 0.30 <= cut <= 0.32 and first == 0 and last == pytest.approx(0.8)


def test_splices_are_stretches_of_one_speaker(tmp_path):
    cuts = [
        splicing.Cut(Utterance(name, tmp_path / name, 2.0, text, speaker=name[0]), text, (0.0, 0.5, 1.0, 1.5))
        for name, text in (("A1", "一二三"), ("A2", "四五六"), ("B1", "甲乙丙"))
    ]
    made = splicing.spliced(cuts, np.random.default_rng(0))
    for _ in range(30):
        text, pieces = next(made)
        assert len({p.audio.name[0] for p in pieces}) == 1
        assert sum(p.duration for p in pieces) == pytest.approx(0.5 * len(text))
    stretches = [len(pieces) for text, pieces in islice(splicing.spliced(cuts, np.random.default_rng(0), 1), 30)]
    assert min(stretches) == 14 and max(stretches) == 35  # of one character each, as many as there would be of seven
    with pytest.raises(AsrError, match="no recorded sentence could be cut"):
        next(splicing.spliced([], np.random.default_rng(0)))


def test_shuffled_sentences_are_stretches_of_one(tmp_path, monkeypatch):
    said = [Utterance(f"n{i}", tmp_path / f"n{i}.wav", 2.0, "一二三", speaker="neural") for i in range(3)]
    write_manifest(tmp_path / "neural.jsonl", said)
    monkeypatch.setattr(synthesize, "load_model", lambda _: None)
    monkeypatch.setattr(synthesize, "cut", lambda u, _: splicing.Cut(u, u.text, (0.0, 0.5, 1.0, 1.5)))
    material = synthesize.Material.__new__(synthesize.Material)
    material.neural, material.model, material.seed, material.heard = [tmp_path / "neural.jsonl"], None, 1, {"三一"}
    material.longest = 2
    made = list(islice(material.shuffled(), 30))
    assert all(len({p.audio for p in pieces}) == 1 and "三一" not in text for text, pieces in made)
    assert {pieces[0].audio.name for _, pieces in made} == {"n0.wav", "n1.wav", "n2.wav"}


def test_melody_raises_the_voice_by_its_factor():
    melody = joining.melody([8000, 8000], 1.2, np.random.default_rng(0))
    assert len(melody) == 16000 and 1.0 < melody.min() < melody.max() < 1.45
    higher = joining.bend(sine(1.0), np.full(16000, 1.25))
    assert len(higher) == pytest.approx(12800, abs=2)
    spectrum = np.abs(np.fft.rfft(higher * np.hanning(len(higher))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(higher) == pytest.approx(550, abs=3)


def test_other_texts_are_said_in_characters_that_the_model_knows(synthetic, speech_folder, tmp_path):
    (tmp_path / "wide.txt").write_text("很好今天\n天气很龘\n")
    (synthetic / "words.jsonl").unlink()
    command = [
        str(speech_folder),
        str(synthetic),
        "--model",
        str(tmp_path / "model"),
        "--processes",
        "1",
        "--kinds",
        "words",
    ]
    synthesize.main([*command, "--texts", str(tmp_path / "wide.txt"), "--seed", "9"])
    assert not any("龘" in u.text for u in read_manifest(synthetic / "words.jsonl"))


def test_sounds_without_speech(tmp_path):
    nonspeech.main([str(tmp_path), "--number", "12"])
    made = read_manifest(tmp_path / "nonspeech.jsonl")
    assert len(made) == 12 and {u.text for u in made} == {""}
    for utterance in made:
        samples = read_samples(utterance.audio)
        assert len(samples) == pytest.approx(utterance.duration * SAMPLE_RATE, abs=2)
        assert -60 < 10 * np.log10(np.square(samples).mean()) < -8
    before = [u.audio.read_bytes() for u in made]
    nonspeech.main([str(tmp_path), "--number", "12"])
    assert [u.audio.read_bytes() for u in made] == before


@pytest.mark.parametrize("kind", [*nonspeech.KINDS, invented.siren, invented.birds, invented.crackle, invented.room])
def test_every_kind_of_sound_is_finite_and_not_silent(kind):
    for seed in range(5):
        samples = kind(SAMPLE_RATE, np.random.default_rng(seed))
        assert samples.shape == (SAMPLE_RATE,) and np.isfinite(samples).all() and np.abs(samples).max() > 0
