"""Marks for text that has none: no character ever changes, and long texts get the marks that short ones would."""

import io
import json
import random
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from asr.errors import CheckpointError
from asr.punctuation import restoring
from asr.punctuation.batches import NO_TAG, batch_of
from asr.punctuation.features import LATIN, NUMBER, RARE, SPECIAL, Vocabulary, inputs, pause_classes
from asr.punctuation.marks import MARKS, tag_of, tagged
from asr.punctuation.network import Tagger
from asr.punctuation.restoring import Punctuator, punctuate, punctuator
from asr.punctuation.storage import VOCABULARY, WEIGHTS, read_punctuator, save_punctuator

SMALL = Vocabulary("我你好是", (1, 2, 3, 4), "們我", ("你好", "好是", "是你好", "我我我我"))


@pytest.mark.parametrize(
    ("marks", "at_end", "tag"),
    [
        ("", False, ""),
        ("，", False, "，"),
        ("？”", False, "？"),
        ("：“", False, "，"),
        ("”", False, ""),
        ("；", False, "，"),
        ("……", False, "，"),
        ("……", True, "。"),
        ("。”", False, "。"),
        ("！？", False, "？"),
        ("——", False, "，"),
        ("、", False, "、"),
    ],
)
def test_which_mark_counts(marks, at_end, tag):
    assert tag_of(marks, at_end) == (MARKS.index(tag) + 1 if tag else 0)


def test_units_and_tags_of_a_text():
    units, tags = tagged("“用APP 2.0，好吗？”他说：“好……”")
    assert units == ["用", "APP", "2.0", "好", "吗", "他", "说", "好"]
    assert ["-，。？！、"[tag] for tag in tags] == list("--，-？-，。")


def test_what_the_network_sees():
    ids, codes = SMALL.encode(["我", "們", "A", "3G", "龘"])
    assert ids.tolist() == [SPECIAL, SPECIAL, LATIN, NUMBER, RARE]
    assert codes[0] == codes[1] == ord("我") and len(set(codes.tolist())) == 4
    seen = inputs(ids, codes, SMALL, pause_classes([0, 0.2, 0.5, 2, 0.01]))
    assert len(seen.characters) == 7 and seen.sounds.tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert seen.pauses.tolist() == [0, 1, 4, 6, 9, 1, 0]
    assert inputs(ids, codes, SMALL).pauses.tolist() == [0] * 7


def test_a_homophone_sounds_the_same():
    alike = Vocabulary("是事", (1, 1))
    one, other = (inputs(*alike.encode([c, "是"]), alike) for c in "是事")
    assert (one.sound_pairs == other.sound_pairs).all() and one.pairs[1] != other.pairs[1]


def test_the_longest_word_that_starts_and_the_longest_that_ends_at_a_place():
    seen = inputs(*SMALL.encode(list("是你好是A們我我我我")), SMALL)
    assert seen.starting.tolist() == [0, 3, 1, 2, 0, 0, 4, 4, 0, 0, 0, 0]  # the edges are places, too
    assert seen.ending.tolist() == [0, 0, 0, 3, 2, 0, 0, 0, 0, 4, 4, 0]


def test_words_are_those_that_a_search_in_the_text_finds():
    chance = random.Random(3)
    letters = "我你好是"
    words = sorted({"".join(chance.choices(letters, k=chance.randint(2, 4))) for _ in range(40)})
    known = Vocabulary(letters, (1, 2, 3, 4), "", tuple(words))
    text = "".join(chance.choices(letters + "A", k=300))
    starting, ending = known.words_in(known.encode(list(text))[0])
    for i in range(len(text)):
        starts = [word for word in words if text.startswith(word, i)]
        ends = [word for word in words if text[: i + 1].endswith(word)]
        assert starting[i] == (words.index(max(starts, key=len)) + 1 if starts else 0)
        assert ending[i] == (words.index(max(ends, key=len)) + 1 if ends else 0)
    assert [rows.tolist() for rows in known.words_in(np.array([], dtype=np.int64))] == [[], []]


def random_tagger(seed: int = 0) -> Tagger:
    torch.manual_seed(seed)
    return Tagger(len(SMALL.sound_of), 5, len(SMALL.words)).eval()


def test_padding_changes_nothing():
    network = random_tagger()
    texts = [inputs(*SMALL.encode(list("我你好是" * n)), SMALL) for n in (1, 20, 3)]
    together = batch_of(texts, [np.zeros(len(text.characters) - 2, dtype=int) for text in texts])
    assert (together.tags != NO_TAG).sum(1).tolist() == [4, 80, 12]
    with torch.inference_mode():
        logits = network(together.fields, together.real)
        for text, row in zip(texts, logits, strict=True):
            alone = batch_of([text])
            expected = network(alone.fields, alone.real)[0]
            assert torch.allclose(row[: len(expected)], expected, atol=1e-5)


def test_what_is_stored_is_read_again(tmp_path):
    network = random_tagger()
    save_punctuator(tmp_path, network, SMALL, [0.0, 0.1, 0.2, 0.0, 0.0, 0.0])
    stored = read_punctuator(tmp_path)
    assert stored.vocabulary == SMALL and stored.bias.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.0, 0.0, 0.0])
    for name, tensor in network.state_dict().items():
        error = (stored.network.state_dict()[name] - tensor).abs().max()
        assert error <= tensor.abs().max() / 200, name  # half a step of 127
    (tmp_path / WEIGHTS).write_bytes(b"weights?")
    with pytest.raises(CheckpointError, match=r"tagger.safetensors: damaged .*; install the program again"):
        read_punctuator(tmp_path)
    (tmp_path / VOCABULARY).unlink()
    with pytest.raises(CheckpointError, match="vocabulary.json: no such file"):
        read_punctuator(tmp_path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a punctuator, whose files tests put back."""
    folder = tmp_path_factory.mktemp("punctuator")
    save_punctuator(folder, random_tagger(), SMALL, [0.0] * 6)
    return folder


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"characters": None}, "characters must be a text, is None"),
        ({"characters": ["我", "你", "好", "是"]}, "characters must be a text, is ['我', '你', '好', '是']"),
        ({"characters": ""}, "characters must be there, each of them once"),
        ({"characters": "我你好我"}, "characters must be there, each of them once"),
        ({"characters": "我你好"}, "sounds must be a number from 0 to 3 for each of the 3 characters"),
        ({"sounds": [1, 2, 3]}, "sounds must be a number from 0 to 4 for each of the 4 characters"),
        ({"sounds": [1, 2, 3, -1]}, "sounds must be a number from 0 to 4 for each of the 4 characters"),
        ({"sounds": [1, 2, 3, 10**15]}, "sounds must be a number from 0 to 4 for each of the 4 characters"),
        ({"sounds": "1234"}, "sounds must be a list of numbers, is '1234'"),
        ({"sounds": [1, 2, 3, 4.0]}, "sounds must be a list of numbers, is [1, 2, 3, 4.0]"),
        ({"sounds": [1, 2, 3, True]}, "sounds must be a list of numbers, is [1, 2, 3, True]"),
        ({"variants": {}}, "variants must be a text, is {}"),
        ({"variants": "們我們"}, "variants must be pairs, the second of each one of the characters"),
        ({"variants": "們龘"}, "variants must be pairs, the second of each one of the characters"),
        ({"words": "你好"}, "words must be a list of texts, is '你好'"),
        ({"words": ["你好", 3]}, "words must be a list of texts, is ['你好', 3]"),
        ({"words": ["你龘"]}, "words must be of 2 to 4 of the characters, each of them once; there is '你龘'"),
        ({"words": ["你"]}, "words must be of 2 to 4 of the characters, each of them once; there is '你'"),
        (
            {"words": ["你好你好你"]},
            "words must be of 2 to 4 of the characters, each of them once; there is '你好你好你'",
        ),
        (
            {"words": ["你好"] * 2},
            "words must be of 2 to 4 of the characters, each of them once; there is one that comes twice",
        ),
        ({"bias": [0.0] * 5}, "bias must be a list of 6 numbers, is [0.0, 0.0, 0.0, 0.0, 0.0]"),
        ({"bias": [0.0] * 5 + ["1"]}, "bias must be a list of 6 numbers, is [0.0, 0.0, 0.0, 0.0, 0.0, '1']"),
        ({"bias": [0.0] * 5 + [float("nan")]}, "bias must be a list of 6 numbers, is [0.0, 0.0, 0.0, 0.0, 0.0, nan]"),
        ({"bias": 0}, "bias must be a list of 6 numbers, is 0"),
    ],
)
def test_a_damaged_vocabulary_is_refused_as_it_is_loaded(saved, changed, reason):
    held = (saved / VOCABULARY).read_text(encoding="utf-8")
    try:
        (saved / VOCABULARY).write_text(json.dumps(json.loads(held) | changed), encoding="utf-8")
        with pytest.raises(CheckpointError) as error:
            read_punctuator(saved)
    finally:
        (saved / VOCABULARY).write_text(held, encoding="utf-8")
    advice = "install the program again, or train it anew (recipes/punctuation)"
    assert str(error.value) == f"{saved / VOCABULARY}: damaged ({reason}); {advice}"


@pytest.mark.parametrize("lost", ["characters", "sounds", "variants", "words", "bias"])
def test_what_a_vocabulary_lacks_is_named(saved, lost):
    held = (saved / VOCABULARY).read_text(encoding="utf-8")
    kept = {name: value for name, value in json.loads(held).items() if name != lost}
    try:
        for text, reason in (
            (json.dumps(kept), f"'{lost}' is missing"),
            ("[]", "holds no object of JSON"),
            (held[:99], ".*"),
        ):
            (saved / VOCABULARY).write_text(text, encoding="utf-8")
            with pytest.raises(
                CheckpointError, match=rf"vocabulary.json: damaged \({reason}.*\); install the program again"
            ):
                read_punctuator(saved)
    finally:
        (saved / VOCABULARY).write_text(held, encoding="utf-8")


def test_weights_that_do_not_fit_are_refused_as_they_are_loaded(saved):
    held = (saved / WEIGHTS).read_bytes()
    tensors = load(held)
    words, scale, norm = "tables.words.weight", "tables.words.weight.scale", "norm.weight"
    other = r"; install the program again"
    try:
        for changed, reason in (
            (
                {words: tensors[words][:-1], scale: tensors[scale][:-1]},
                r"should have the shape \(5, 64\) by vocabulary.json, has",
            ),
            ({words: None, scale: None}, "should have the shape .*, has none: one of the two files is damaged"),
            ({scale: None}, ".*scale"),
            ({scale: tensors[scale][:1]}, f"{words} should have a scale for each of its 5 rows"),
            ({norm: tensors[norm][:5]}, r"norm.weight should have the shape \(192,\) by vocabulary.json, has \(5,\)"),
            ({norm: tensors[norm] * float("nan")}, "norm.weight holds what is no number"),
            ({"more": tensors[norm].clone()}, r"more should have the shape none by vocabulary.json, has \(192,\)"),
        ):
            kept = {name: tensor for name, tensor in (tensors | changed).items() if tensor is not None}
            (saved / WEIGHTS).write_bytes(save(kept))
            with pytest.raises(CheckpointError, match=rf"tagger.safetensors: damaged \(.*{reason}.*\){other}"):
                read_punctuator(saved)
        (saved / WEIGHTS).write_bytes(held)
        described = json.loads((saved / VOCABULARY).read_text(encoding="utf-8"))
        turned = json.dumps(described | {"words": described["words"][::-1]}, ensure_ascii=False)
        (saved / VOCABULARY).write_text(turned, encoding="utf-8")
        with pytest.raises(CheckpointError, match="was learnt with another vocabulary.json than the one beside it"):
            read_punctuator(saved)
        (saved / WEIGHTS).write_bytes(save(tensors))  # as they were written before they said so
        assert read_punctuator(saved).vocabulary.words == SMALL.words[::-1]
        (saved / VOCABULARY).write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
    finally:
        (saved / WEIGHTS).write_bytes(held)


def test_a_long_text_gets_the_marks_that_it_would_get_as_a_whole(monkeypatch):
    chance = random.Random(1)
    words = [chance.choice("我们今天去看电影吗你觉得怎么样好的因为他没有来所以") for _ in range(700)]
    pauses = [chance.choice([0.0, 0.0, 0.4, 1.0]) for _ in words]
    whole = punctuator().marks(words, pauses)
    monkeypatch.setattr(restoring, "AT_ONCE", 100)
    assert punctuator().marks(words, pauses) == whole


def without_marks(text: str) -> str:
    return "".join(c for c in text if c not in MARKS)


def is_within(part: str, whole: str) -> bool:
    """Whether a text is another one without some of its characters."""
    left = iter(whole)
    return all(character in left for character in part)


def made_up(chance: random.Random) -> str:
    """A line with anything in it."""
    kinds = ("的一是在不了有和人这吗", "，。？！、：“”…", " \t　", "AbZ", "019.%", "😀é-'\u200b\x00\r", "們說這")
    return "".join(
        chance.choice(chance.choices(kinds, (20, 2, 1, 2, 2, 1, 1))[0]) for _ in range(chance.randint(0, 60))
    )


@pytest.mark.parametrize("seed", range(300))
def test_no_character_ever_changes(seed):
    line = made_up(random.Random(seed))
    found = punctuate(line)
    assert without_marks(found) == without_marks(line)
    assert is_within(line, found)  # the marks that were there are still where they were
    assert len(found) - len(line) <= len(line)


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("", ""),
        ("   ", "   "),
        ("hello world", "hello world"),
        ("2024 10 01", "2024 10 01"),
        ("，。", "，。"),
        ("你叫什么名字", "你叫什么名字？"),
        ("我们走吧。", "我们走吧。"),
        ("我们走吧！", "我们走吧！"),
        ("你好吗?", "你好吗?"),
        ("我叫李雷 ", "我叫李雷。 "),
        ("你叫什麼名字", "你叫什麼名字？"),
        ("我用Windows Linux和Mac", "我用Windows Linux和Mac。"),
    ],
)
def test_what_is_added(line, right):
    assert punctuate(line) == right


def test_the_end_may_be_left_open():
    words = list("我们一起去")
    assert punctuator().marks(words)[-1] in "。？！"
    assert punctuator().marks([]) == []


def test_the_command_gives_a_line_for_a_line(run, monkeypatch, tmp_path):
    text = "\ufeff你叫什么名字\n\nhello\n我叫李雷"
    right = "你叫什么名字？\n\nhello\n我叫李雷。\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert run("punctuate") == (0, right, "")
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert run("punctuate", tmp_path / "a.txt") == (0, right, "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("我叫李雷\n".encode() + "你好".encode("gb18030"))))
    status, out, err = run("punctuate", "-")
    assert (status, out) == (1, "我叫李雷。\n") and err.startswith("asr: stdin:2: not UTF-8 (invalid")
    assert "iconv -f GB18030 -t UTF-8" in err
    status, _, err = run("punctuate", tmp_path / "b.txt")
    assert status == 1 and "b.txt: no such file" in err


def test_the_packaged_model_is_small():
    files = list(restoring.OWN.iterdir())
    assert sum(file.stat().st_size for file in files) < 8e6
    assert Punctuator(restoring.OWN).bias.shape == (len(MARKS) + 1,)
