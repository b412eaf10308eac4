"""The recipe of the embedded model on a miniature of the folder it is given."""

import sys

import numpy as np
import pytest
import soundfile

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.manifest import read_manifest
from asr.model.folder import save_model
from asr.text.normalize import normalize
from asr.text.tokenizer import TokenTable
from tests.conftest import ROOT, random_model
from tests.sounds import sine

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import prepare  # noqa: E402
import report  # noqa: E402

HEADER = "id\taudio\ttext\tspeaker\tseconds\tsource\tkind\tlicence\tpinyin\n"
TRAIN = {"w1": "今天", "w2": "天气", "w3": "很", "w4": "好", "w5": "你好"}


@pytest.fixture
def speech(tmp_path):
    """Words that are tones of their own height, with silence before and after them, and a dev sentence."""
    folder = tmp_path / "speech"
    folder.mkdir()
    rows = []
    for i, (name, text) in enumerate(TRAIN.items()):
        silence = np.zeros(SAMPLE_RATE // 2)
        soundfile.write(
            folder / f"{name}.wav", np.concatenate([silence, sine(0.4, hz=300 + 200 * i), silence]), SAMPLE_RATE
        )
        rows.append(f"{name}\t{name}.wav\t{text}\tA\t1.4\thsk\tword\tfree\t\n")
    rows.append("s1\tw1.wav\t\tA\t1.4\tsyllables\tsyllable\tfree\tma1\n")
    rows.append("r1\tw2.wav\t你好天气\tB\t1.4\taishell\tsentence\tfree\t\n")
    (folder / "train.tsv").write_text(HEADER + "".join(rows))
    dev = [
        "d1\tw3.wav\t今天天气很好\tC\t1.4\tdev\tsentence\tfree\t\n",
        "d2\tw4.wav\t你好\tD\t1.4\tdsp20\tword\tfree\t\n",
    ]
    (folder / "dev.tsv").write_text(HEADER + "".join(dev))
    (tmp_path / "text.txt").write_text("今天很好\n今天天气很好\n你好\n天气预报\n你好 天气\n")
    return folder


def build(speech, out, *options):
    prepare.main([str(speech), str(speech.parent / "text.txt"), "--out", str(out), "--processes", "1", *options])


def test_manifests_and_joined_sentences(speech, tmp_path):
    build(speech, tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [
        "aishell.jsonl",
        "dev_sentences.jsonl",
        "dev_words.jsonl",
        "hsk.jsonl",
        "joined",
        "joined.jsonl",
        "text.txt",
    ]
    for utterance in read_manifest(tmp_path / "out" / "hsk.jsonl"):
        assert utterance.start == pytest.approx(0.45, abs=0.02) and utterance.duration == pytest.approx(0.5, abs=0.03)
    joined = read_manifest(tmp_path / "out" / "joined.jsonl")
    assert {u.text for u in joined} == {"今天很好", "你好", "你好天气"}  # 天气预报 cannot be spelled
    for utterance in joined:
        assert len(read_samples(utterance.audio)) == pytest.approx(utterance.duration * SAMPLE_RATE, abs=2)


def test_no_dev_sentence_gets_into_the_training_data(speech, tmp_path):
    build(speech, tmp_path / "out")
    dev = {normalize(u.text) for u in read_manifest(tmp_path / "out" / "dev_sentences.jsonl")}
    for manifest in ("aishell", "hsk", "joined"):
        assert not dev & {normalize(u.text) for u in read_manifest(tmp_path / "out" / f"{manifest}.jsonl")}
    assert not dev & set((tmp_path / "out" / "text.txt").read_text().splitlines())


def test_the_same_command_gives_the_same_audio(speech, tmp_path):
    for name in ("a", "b"):
        build(speech, tmp_path / name, "--joined", "2")
    pairs = zip(*(sorted((tmp_path / name / "joined").iterdir()) for name in ("a", "b")), strict=True)
    assert [a.read_bytes() == b.read_bytes() for a, b in pairs] == [True, True]


def test_spelling_takes_as_few_words_as_possible():
    words = {word: [] for word in ("今", "天", "今天", "天气", "气")}
    assert prepare.spell("今天天气", words) == ["今天", "天气"]
    assert prepare.spell("天今", words) == ["天", "今"]
    assert prepare.spell("今年", words) is None


def test_tempo_changes_length_and_keeps_pitch():
    fast = prepare.change_tempo(sine(2.0), 1.5)
    assert len(fast) == pytest.approx(2.0 * SAMPLE_RATE / 1.5, rel=0.03)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(len(fast))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(fast) == pytest.approx(440, abs=5)


def test_cross_fade_keeps_the_level():
    ones = np.ones(2000, np.float32)
    joined = prepare.cross_fade([ones, ones, ones])
    assert len(joined) == 6000 - 2 * int(prepare.CROSS_FADE * SAMPLE_RATE)
    assert np.allclose(joined, 1, atol=1e-5)


def test_the_report_is_a_table_of_every_source(speech, tmp_path, tokenizer, capsys):
    build(speech, tmp_path / "out")
    for name in ("sentences", "words"):  # one utterance cannot be swapped with itself
        manifest = tmp_path / "out" / f"dev_{name}.jsonl"
        [line] = manifest.read_text().splitlines()
        other = line.replace('"id": "d', '"id": "e').replace("好", "坏").replace('"C"', '"S0913"')
        manifest.write_text(line + "\n" + other + "\n")
    table = TokenTable([*tokenizer.table.tokens, *"今天气很好坏你"])
    save_model(tmp_path / "model", random_model(vocabulary=len(table)), table)
    capsys.readouterr()
    report.main([str(tmp_path / "model"), str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == [
        "**dev_sentences**",
        "dev_sentences: free",
        "dev_sentences: S0913",
        "dev_sentences: mean over 1 speakers",
        "**dev_words**",
        "dev_words: free",
        "dev_words: mean over 1 speakers",
    ]
    assert lines[2].split("|")[2].strip() == "12"
