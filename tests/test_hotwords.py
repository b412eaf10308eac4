"""Hot words: a bonus per character, taken back where the word breaks off."""

import random
import re
from types import SimpleNamespace

import pytest
import soundfile
import torch

from asr.decoding.beam import Chosen
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.hotword_trie import occurrences
from asr.decoding.hotwords import HotwordScorer
from asr.decoding.wordlists import Hotwords, read_hotwords, split_words, word_and_weight
from asr.errors import AsrError, ConfigError
from asr.serving.forms import hotwords_of_fields
from tests.conftest import ROOT
from tests.sounds import speech

EOS = 0
TOY = ROOT / "tests/fixtures/toy"


def total(scorer: HotwordScorer, tokens: list[int]) -> float:
    """What a whole text gets, eos included."""
    state, last, sum_ = scorer.start(1), torch.tensor([[9]]), 0.0
    for token in [*tokens, EOS]:
        scores, state = scorer.score(last, torch.tensor([[[token]]]), torch.zeros(1, 1, 1), state)
        sum_ += float(scores)
        zero = torch.zeros(1, 1, dtype=torch.long)
        state, last = scorer.select(state, Chosen(torch.tensor([0]), zero, zero)), torch.tensor([[token]])
    return sum_


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], 0),
        ([1, 2, 3], 6),  # the word 1 2 3, 2 for each character
        ([1, 2], 0),  # it broke off
        ([1, 2, 5], 0),
        ([5, 1, 2, 3, 5], 6),
        ([1, 1, 2, 3], 6),  # the first 1 was a false start
        ([1, 2, 1, 2, 3], 6),
        ([1, 2, 3, 5, 1, 2, 3], 12),
        ([1, 2, 3, 1, 2, 3], 6),  # right behind itself it gets nothing
        ([1, 2, 3, 1, 2, 3, 1, 2, 3], 6),
        ([1, 2, 3, 1, 2, 3, 5, 4, 6], 16),
        ([1, 2, 3, 1, 2, 5, 1, 2, 3], 12),
        ([4, 6], 10),  # a weight of its own
        ([2, 3, 4], 3),  # 2 3 4 with 1 for each
        ([1, 2, 4, 6], 10),
        ([7, 8], 4),  # a word that begins a longer one
        ([7, 8, 1], 4),
        ([7, 8, 1, 1], 8),
    ],
)
def test_what_a_text_gets(tokens, expected):
    words = {(1, 2, 3): 2.0, (4, 6): 5.0, (2, 3, 4): 1.0, (7, 8): 2.0, (7, 8, 1, 1): 2.0}
    assert total(HotwordScorer(words, 10, EOS), tokens) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "tokens", "expected"),
    [
        ([(2, 3), (1, 2, 3, 4)], [1, 2, 3, 5], 4),  # a word inside one that broke off
        ([(2, 3), (1, 2, 3, 4)], [1, 2, 3], 4),
        ([(2, 3), (1, 2, 3, 4)], [1, 2, 3, 4], 8),  # or did not: no character counts twice
        ([(2, 3), (1, 2, 3, 4), (2, 3, 5)], [1, 2, 3, 5], 6),
        ([(1, 2), (2, 3, 4)], [1, 2, 3, 5], 4),
        ([(1, 2), (1, 2, 3, 4)], [1, 2, 3, 5], 4),
    ],
)
def test_words_inside_of_others(words, tokens, expected):
    assert total(HotwordScorer(dict.fromkeys(words, 2.0), 10, EOS), tokens) == pytest.approx(expected)


def test_a_text_without_a_hot_word_gets_nothing():
    """However often words begin in it: so hot words that are not said change nothing but what the beam holds on the way."""
    source = random.Random(0)
    words = {tuple(source.choices(range(1, 7), k=source.randint(3, 4))): source.uniform(0.5, 3) for _ in range(60)}
    scorer = HotwordScorer(words, 10, EOS)
    texts = [source.choices(range(1, 9), k=source.randint(0, 12)) for _ in range(300)]
    without = [text for text in texts if not occurrences(text, words)]
    assert len(without) > 100
    assert [total(scorer, text) for text in without] == pytest.approx([0.0] * len(without), abs=1e-4)


def test_many_hypotheses_and_candidates_at_once():
    scorer = HotwordScorer({(1, 2): 3.0}, 10, EOS)
    state = scorer.start(2)
    scores, state = scorer.score(
        torch.full((2, 1), 9), torch.tensor([[[1, 5]], [[5, EOS]]]), torch.zeros(2, 1, 2), state
    )
    assert scores.tolist() == [[[3.0, 0.0]], [[0.0, 0.0]]]
    # utterance 1 leaves; of utterance 0 both candidates go on
    state = scorer.select(state, Chosen(torch.tensor([0]), torch.tensor([[0, 0]]), torch.tensor([[0, 1]])))
    scores, _ = scorer.score(
        torch.tensor([[1, 5]]), torch.tensor([[[2, 5, EOS], [2, 1, EOS]]]), torch.zeros(1, 2, 3), state
    )
    assert scores.tolist() == [[[3.0, -3.0, -3.0], [0.0, 3.0, 0.0]]]


def test_what_the_audio_rules_out_gets_no_bonus():
    scorer = HotwordScorer({(1, 2): 3.0}, 10, EOS, margin=2.0)
    said = torch.tensor([[[0.0, -2.5]]])
    assert scorer.score(torch.tensor([[9]]), torch.tensor([[[5, 1]]]), said, scorer.start(1))[0].tolist() == [[[0, 0]]]
    assert scorer.score(torch.tensor([[9]]), torch.tensor([[[1, 5]]]), said, scorer.start(1))[0].tolist() == [[[3, 0]]]


def test_occurrences_are_the_longest_without_overlap():
    words = {(1, 2): 1.0, (1, 2, 3): 1.0, (3, 4): 1.0}
    assert occurrences([1, 2, 3, 4, 1, 2, 5, 3, 4], words) == [(0, (1, 2, 3)), (4, (1, 2)), (7, (3, 4))]
    assert occurrences([], words) == []


def test_a_file_of_hot_words(tmp_path, tokenizer):
    path = tmp_path / "words.txt"
    path.write_text("\ufeff阿衣\r\n# a comment\n乌鹅哦 3.5  # a weight\n龘\n\n撒 西\n哦\t-1\n", encoding="utf-8")
    ids = tokenizer.encode
    found = read_hotwords(path, tokenizer, tokenizer.table, 2.0)
    assert found == Hotwords(
        {tuple(ids("阿衣")): 2.0, tuple(ids("乌鹅哦")): 3.5, tuple(ids("撒西")): 2.0, tuple(ids("哦")): -1.0},
        {
            tuple(ids("阿衣")): "阿衣",
            tuple(ids("乌鹅哦")): "乌鹅哦",
            tuple(ids("撒西")): "撒 西",
            tuple(ids("哦")): "哦",
        },
        ("龘",),
    )


@pytest.mark.parametrize(
    ("line", "doubtful"),
    [
        ("阿衣 乌鹅哦", True),
        ("阿衣，乌鹅", True),
        ("阿衣、乌", True),
        ("阿 乌鹅 3", True),
        ("阿 衣", False),  # one word, character by character
        ("阿衣乌 3", False),
        ("阿衣\t3", False),
    ],
)
def test_a_line_that_looks_like_several_words_is_told(tmp_path, tokenizer, line, doubtful):
    path = tmp_path / "words.txt"
    path.write_text(f"乌鹅\n{line}\n", encoding="utf-8")
    found = read_hotwords(path, tokenizer, tokenizer.table, 2.0).doubts
    assert bool(found) == doubtful
    for doubt in found:
        assert re.search(r"words.txt:2: '.*' is one hot word, said in a row; several need a line each$", doubt)


def test_it_is_told_on_stderr(tmp_path, run):
    (tmp_path / "words.txt").write_text("阿衣 乌鹅哦\n", encoding="utf-8")
    _, _, err = run(
        "transcribe", "data/sample/weather.flac", "--model", TOY, "--hotwords", tmp_path / "words.txt", "--beam", 2
    )
    assert "words.txt:1: '阿衣 乌鹅哦' is one hot word, said in a row; several need a line each\n" in err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["阿衣", "乌鹅哦 3.5", "哦\t-1"], {"阿衣": 2.0, "乌鹅哦": 3.5, "哦": -1.0}),
        ({"阿衣": 2, "乌鹅哦": 3.5}, {"阿衣": 2.0, "乌鹅哦": 3.5}),
        ("阿衣 乌鹅哦", {"阿衣": 2.0, "乌鹅哦": 2.0}),
        ("阿衣，乌鹅哦、 哦 3；撒西", {"阿衣": 2.0, "乌鹅哦": 2.0, "哦": 3.0, "撒西": 2.0}),
        ("阿衣\n乌鹅哦 3.5\n", {"阿衣": 2.0, "乌鹅哦": 3.5}),
    ],
)
def test_lists_and_strings_of_words(tokenizer, given, expected):
    found = read_hotwords(given, tokenizer, tokenizer.table, 2.0)
    assert {found.words[tokens]: weight for tokens, weight in found.weights.items()} == expected and not found.doubts


def remarks(given, tokenizer, weight: float = 2.0, **settings) -> list[str]:
    config = DecodeConfig(hotword_weight=weight, **settings)
    return list(read_hotwords(given, tokenizer, tokenizer.table, weight).remarks(config))


UNWRITTEN = (
    "hot words with characters that the model cannot write are left out: {}; its tokens.txt lists those that it can"
)
IDLE = "hot words whose weight is 0, or nearly so, change nothing: {}; give them one such as 2, or leave them out"


@pytest.mark.parametrize(
    ("given", "settings", "expected"),
    [
        ({"阿衣": 2, "乌鹅": -1, "哦": 0.5}, {}, []),
        ({"阿衣": 0, "乌鹅": 2, "撒西": 1e-6}, {}, [IDLE.format("阿衣, 撒西")]),
        (["阿衣", "乌鹅 1"], {"weight": 0.0}, [IDLE.format("阿衣")]),
        ({"阿衣": 0, "乌阿衣": 2}, {}, []),  # what of the longer one stays where it breaks off
        ({"阿衣": 0}, {"correct_names": True}, []),
        (
            ["阿衣", "龘", "！"],
            {},
            [UNWRITTEN.format("龘, ！")],
        ),
        (["阿衣 2", "阿衣", "阿衣 2.0"], {}, []),
        (
            ["阿衣 2", "阿 衣 3", "阿衣"],
            {},
            [
                "hotwords[1]: '阿 衣' has the weight 3 here, 2 at hotwords[0]; this one counts: keep one",
                "hotwords[2]: '阿衣' has the weight 2 here, 3 at hotwords[1]; this one counts: keep one",
            ],
        ),
        ([f"{a}{b} 0" for a in "阿衣乌鹅" for b in "哦撒西"], {}, [IDLE.format(
            "阿哦, 阿撒, 阿西, 衣哦, 衣撒, 衣西, 乌哦, 乌撒, 乌西, 鹅哦 …")]),
    ],
)  # fmt: skip
def test_what_can_have_no_effect_is_told(tokenizer, given, settings, expected):
    assert remarks(given, tokenizer, **settings) == expected


def test_tokens_that_are_never_written_are_told(tokenizer):
    [remark] = remarks(["阿衣", "乌鹅"], tokenizer, never_written=(tokenizer.encode("鹅")[0],))
    assert "that decode.never_written rules out change nothing: 乌鹅; take" in remark


@pytest.mark.parametrize("how", ["transcribe", "evaluate", "inspect"])
def test_it_is_told_once(tmp_path, run, how):
    (tmp_path / "words.txt").write_text("阿衣\t0\n龘\n", encoding="utf-8")
    soundfile.write(tmp_path / "a.wav", speech(1.0), 16000)
    (tmp_path / "m.jsonl").write_text(
        '{"id": "a", "audio": "a.wav", "text": "阿", "duration": 1.0}\n', encoding="utf-8"
    )
    arguments = {
        "transcribe": (tmp_path / "a.wav", "--model", TOY),
        "evaluate": (TOY, tmp_path / "m.jsonl", "--out", tmp_path / "out"),
        "inspect": (tmp_path / "a.wav", "--model", TOY, "--html", tmp_path / "a.html"),
    }[how]
    _, _, err = run(how, *arguments, "--hotwords", tmp_path / "words.txt", "--beam", 2)
    assert err.count("change nothing: 阿衣;") == err.count("cannot write are left out: 龘;") == 1


def test_a_character_of_several_tokens_has_one_bonus():
    class Bytes:
        def encode(self, text: str) -> list[int]:
            return [10 + b for b in text.encode()]

    class Pieces:
        def encode(self, text: str) -> list[int]:
            return [len(text)]

    table = SimpleNamespace(unk=1, eos=2, never_written=[0, 1])
    (bonus,) = read_hotwords(["惊蛰"], Bytes(), table, 3.0).weights.values()
    assert bonus == 1.0  # six tokens, two characters
    assert list(read_hotwords(["惊蛰 6"], Bytes(), table, 3.0).weights.values()) == [2.0]
    assert list(read_hotwords(["HELLO"], Pieces(), table, 3.0).weights.values()) == [3.0]  # one token, no more than one


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([3], "hotwords[0]: must be a word, is '3'"),
        (["阿衣", "乌鹅 1e9"], "hotwords[1]: a weight must be from -100 to 100, is '1e9'"),
        ({"阿衣": float("nan")}, "hotwords['阿衣']: a weight must be from -100 to 100, is 'nan'"),
        ([], "hotwords: holds no hot word"),
        ("，", "hotwords: holds no hot word"),
        ("no/such.txt", "no/such.txt: "),
    ],
)
def test_wrong_lists_of_words(tokenizer, given, message):
    with pytest.raises(AsrError, match=re.escape(message)):
        read_hotwords(given, tokenizer, tokenizer.table, 2.0)


def test_which_spaces_part_the_words_of_a_string():
    from asr.decoding.wordlists import _entries

    words = [word for _, word, _ in _entries("北京 语音识别，GPT 4 波音 747,NEW YORK 上海 ASR")]
    assert words == ["北京", "语音识别", "GPT 4", "波音 747", "NEW YORK", "上海", "ASR"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今天讨论“语音识别”。张伟（主持）和O’Brien.", ["今天讨论", "语音识别", "张伟", "主持", "和O’Brien"]),
        (
            "北京/上海、TCP/IP｜GPT-4o\n\u3000v2.5  版本\t端到端",
            ["北京", "上海", "TCP/IP", "GPT-4o", "v2.5", "版本", "端到端"],
        ),
        ("𠮷野家 拉面!Yes.  No", ["𠮷野家", "拉面", "Yes", "No"]),
        (" ，。\n", []),
    ],
)
def test_the_words_of_a_text(text, words):
    """Of a string of hot words, and of the prompt that a server is sent."""
    assert split_words(text) == words
    assert hotwords_of_fields(text, [])[0] == tuple(word for word in words if len(word) > 1)


@pytest.mark.parametrize(
    ("line", "word", "weight"),
    [
        ("GPT 4", "GPT 4", None),
        ("GPT 4\t3", "GPT 4", 3.0),
        ("波音 747", "波音 747", None),
        ("波音 7.5", "波音", 7.5),
        ("波音", "波音", None),
        ("10", "10", None),
    ],
)
def test_numbers_that_belong_to_a_name(line, word, weight):
    assert word_and_weight(line, "words.txt:1") == (word, weight)


@pytest.mark.parametrize(
    ("content", "message"),
    [("# nothing\n", "words.txt: holds no hot word"), ("阿衣\n乌 1e9\n", "words.txt:2: a weight must be")],
)
def test_wrong_files_of_hot_words(tmp_path, tokenizer, content, message):
    (tmp_path / "words.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_hotwords(tmp_path / "words.txt", tokenizer, tokenizer.table, 2.0)


def test_a_transcriber_that_listens_for_more_words():
    """It shares the model, and leaves the one it came from as it was."""
    import asr

    own = asr.load("embedded", "cpu", beam=2)
    other = own.listening_for(["张晓明"]).listening_for(["李四", "张晓明"])
    assert own.recognizer.hotwords is None and other.loaded is own.loaded
    assert sorted(other.recognizer.hotwords.words.values()) == ["张晓明", "李四"]
    assert other.recognizer.config == own.recognizer.config and other.recognizer.lm is own.recognizer.lm
