"""The recipe of the embedded model on a miniature of the folder it is given."""

import struct
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from asr.audio.reading import SAMPLE_RATE, read_samples
from asr.corpus.manifest import read_manifest
from asr.errors import CheckpointError
from asr.model.folder import load_model, save_model
from asr.text.normalize import normalize
from asr.text.tokenizer import TokenTable
from asr.training.ngram import train_ngram
from tests.conftest import ROOT, random_model

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import averaging  # noqa: E402
import covering  # noqa: E402
import deepening  # noqa: E402
import mixing  # noqa: E402
import opengram  # noqa: E402
import prepare  # noqa: E402
import report  # noqa: E402


def build(speech_folder, out, *options):
    prepare.main(
        [str(speech_folder), str(speech_folder.parent / "text.txt"), "--out", str(out), "--processes", "1", *options]
    )


def test_manifests_and_joined_sentences(speech_folder, tmp_path):
    build(speech_folder, tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [
        "aishell.jsonl",
        "dev_sentences.jsonl",
        "dev_words.jsonl",
        "dsp20.jsonl",
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


def test_no_dev_sentence_gets_into_the_training_data(speech_folder, tmp_path):
    build(speech_folder, tmp_path / "out")
    dev = {normalize(u.text) for u in read_manifest(tmp_path / "out" / "dev_sentences.jsonl")}
    for manifest in ("aishell", "hsk", "joined"):
        assert not dev & {normalize(u.text) for u in read_manifest(tmp_path / "out" / f"{manifest}.jsonl")}
    assert not dev & set((tmp_path / "out" / "text.txt").read_text().splitlines())


def test_the_same_command_gives_the_same_audio(speech_folder, tmp_path):
    for name in ("a", "b"):
        build(speech_folder, tmp_path / name, "--joined", "2")
    pairs = zip(*(sorted((tmp_path / name / "joined").iterdir()) for name in ("a", "b")), strict=True)
    assert [a.read_bytes() == b.read_bytes() for a, b in pairs] == [True, True]


def test_the_report_is_a_table_of_every_source(speech_folder, tmp_path, tokenizer, capsys):
    build(speech_folder, tmp_path / "out")
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


@torch.inference_mode()
@pytest.mark.parametrize(("kind", "layers"), [("conformer", 3), ("conformer", 5), ("transformer", 4)])
def test_new_blocks_say_nothing_at_first_and_can_learn(tokenizer, tmp_path, kind, layers):
    model = random_model(kind, vocabulary=len(tokenizer.table), positions="relative")
    for parameter in model.encoder.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    save_model(tmp_path / "shallow", model, tokenizer.table, {"step": "7"})
    deepening.main([str(tmp_path / "shallow"), "--layers", str(layers), "--out", str(tmp_path / "deep")])
    deep = load_model(tmp_path / "deep")
    assert len(deep.model.encoder.blocks) == deep.model.config.encoder.layers == layers and deep.metadata["step"] == "7"
    sound, length = torch.randn(1, 16000) * 0.1, torch.tensor([16000])
    assert torch.allclose(deep.model.encode(sound, length).values, model.encode(sound, length).values, atol=1e-4)
    with torch.inference_mode(False), torch.enable_grad():
        learning = deepening.deepened(model, layers).train()
        learning.encode(sound.clone(), length.clone()).values.square().sum().backward()
    assert learning.encoder.blocks[1].attention.out.weight.grad.abs().max() > 0


def test_what_cannot_be_deepened(tokenizer):
    with pytest.raises(CheckpointError, match="--layers 2: must be more than the 2 that the model has"):
        deepening.deepened(random_model(), 2)
    with pytest.raises(CheckpointError, match="normalises behind each part"):
        deepening.deepened(random_model(norm_first=False), 3)


def test_models_are_averaged_by_their_shares(tmp_path, tokenizer):
    models = [random_model(seed=seed) for seed in (1, 2)]
    for name, model in zip("ab", models, strict=True):
        save_model(tmp_path / name, model, tokenizer.table)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    averaging.main([*folders, "--shares", "3", "1", "--out", str(tmp_path / "mean")])
    loaded = load_model(tmp_path / "mean")
    first, second, mean = (m.state_dict()["decoder.out.weight"] for m in (*models, loaded.model))
    assert torch.allclose(mean, 0.75 * first + 0.25 * second, atol=1e-6) and loaded.metadata["averaged"] == "3 a 1 b"
    with pytest.raises(SystemExit):
        averaging.main([*folders, "--shares", "1", "--out", str(tmp_path / "other")])


def test_lines_are_chosen_by_what_was_said_least():
    rare, common, never = "龘龘霪雨霏霏连月不开阴风怒号", "这是一个很平常的句子人人会说", "鳜鱼肥"
    said = Counter(common * 50 + rare)
    lines = [common, rare, common + "吗", never, "a", "b"]
    worth = covering.Worth(lines, order=1, power=0)
    chosen = covering.covering(lines, said, worth, 3, 50, np.random.default_rng(0))
    assert set(chosen) == {never, "a", "b"} and len(chosen) == 3  # half of the lines at most
    assert covering.covering(["a"] * 9 + ["b"], said, worth, 3, 5, np.random.default_rng(0)) in (["a"], ["b"])
    assert worth("鳜鱼", Counter("鱼鱼鱼")) == pytest.approx((1 + 1 / 4) / 2)
    assert covering.is_plain("今天天气很好", set("今天气很好")) and not covering.is_plain("今天坏", set("今天"))
    assert not covering.is_plain("好啊啊啊啊", set("好啊"))


def test_frequent_pairs_are_worth_more_than_rare_ones_until_they_are_said():
    worth = covering.Worth(["我们好"] * 4 + ["鱼肥"], order=2, power=0.5)
    assert worth("我们好", Counter()) == 2 and worth("鱼肥", Counter()) == 1 and worth("们鱼", Counter()) == 1
    assert worth("我们好", Counter({"我们": 3, "们好": 7})) == pytest.approx((2 / 4 + 2 / 8) / 2)


def test_lines_that_cover_are_of_the_lengths_asked_for(tmp_path):
    lines = ["甲乙丙丁戊己庚辛壬癸"[:n] for n in (2, 4, 5, 6, 7, 9)]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "tokens.txt").write_text("\n".join(lines[-1]), encoding="utf-8")
    command = [
        str(tmp_path / "texts.txt"),
        "--tokens",
        str(tmp_path / "tokens.txt"),
        "--out",
        str(tmp_path / "kept.txt"),
    ]
    covering.main([*command, "--lengths", "4", "7"])
    kept = (tmp_path / "kept.txt").read_text(encoding="utf-8").split()
    assert len(kept) == 2 and set(kept) < {line for line in lines if 4 <= len(line) <= 7}  # half of the four


def test_a_mixture_of_language_models_is_a_distribution(tmp_path):
    for name, texts in (("a", ["甲乙丙", "甲乙丁"]), ("b", ["丙乙", "甲丙丁"])):
        train_ngram(texts, tmp_path / f"{name}.arpa", 3, 0)
    mixing.main(
        [str(tmp_path / f"{name}.arpa") for name in "ab"] + ["--share", "0.3", "--out", str(tmp_path / "c.arpa")]
    )
    a, b, c = (mixing.read(tmp_path / f"{name}.arpa") for name in "abc")
    words = ["甲", "乙", "丙", "丁", "</s>", "<unk>"]
    for context in [(), ("<s>",), ("甲",), ("甲", "乙"), ("丙", "乙"), ("<s>", "甲"), ("丁", "丁")]:
        assert sum(c.of((*context, word)) for word in words) == pytest.approx(1, abs=1e-4)
    for gram in c.probability.keys() - {("<s>",)}:
        assert c.of(gram) == pytest.approx(0.3 * a.of(gram) + 0.7 * b.of(gram), rel=1e-4)


def test_open_gram_is_drawn_from_as_it_is(tmp_path):
    """Words 。今天 天气 好; 今天 is followed by 天气 (0.6) or backs off; after 今天 天气 comes 好 (0.9)."""
    words = ["。", "今天天", "天气天", "好", "，"]
    texts = "".join(word + "\0" for word in words).encode("utf-32-le")
    (tmp_path / "words.bin").write_bytes(struct.pack("<4I", len(words), 0, 16, 0) + texts)
    (tmp_path / "printed.txt").write_text(
        "\\0-gram\\1\n  0.1   0.1 (0,0)\n"
        "\\1-gram\\5\n 0 0.2 1.0 (0,0)\n 1 0.3 0.5 (0,0)\n 2 0.2 0.5 (0,0)\n 3 0.2 1.0 (0,0)\n 4 0.1 1.0 (0,0)\n"
        "\\2-gram\\1\n 1 2 0.6 0.1 (1,1)\n\\3-gram\\1\n 1 2 3 0.9 (1,0)\n"
    )
    model = opengram.WordModel(tmp_path / "printed.txt", opengram.read_words(tmp_path / "words.bin"))
    assert model.words == words
    random, n = np.random.default_rng(0), 20_000
    after = model.draw(np.full(n, 0), np.full(n, 1), random)
    assert np.bincount(after) / n == pytest.approx(
        [0.1, 0.15, 0.6, 0.1, 0.05], abs=0.01
    )  # 0.4 over 0.2 + 0.3 + 0.2 + 0.1
    after = model.draw(np.full(n, 1), np.full(n, 2), random)
    assert np.bincount(after) / n == pytest.approx([0.025, 0.0375, 0.025, 0.9, 0.0125], abs=0.01)
    found = opengram.lines(model, 50, 20, seed=1)
    assert all(len(line) >= 4 and set(line) <= set("今天气好") for line in found) and found == opengram.lines(
        model, 50, 20, 1
    )
