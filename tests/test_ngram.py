"""Character n-gram models: estimated, written, read, and put into the search."""

import gzip
import itertools
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from asr.decoding import ngram
from asr.decoding.beam import Chosen
from asr.decoding.ngram import NgramScorer
from asr.decoding.ngram_file import pack, read_ngrams, require_characters
from asr.errors import AsrError, ConfigError
from asr.training.ngram import train_ngram
from tests.conftest import ROOT

SYMBOLS = ["<blank>", "<unk>", "<sos>", "<eos>", "你", "好", "吗", "再", "见", "龘"]
EOS = 3
ARPA = """\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.5\t你\t-0.3
-0.6\t好\t-0.2

\\2-grams:
-0.2\t<s> 你\t-0.1
-0.3\t你 好\t-0.4
-0.1\t好 </s>

\\3-grams:
-0.05\t<s> 你 好

\\end\\
"""


def scores(scorer: NgramScorer, text: str) -> list[float]:
    """log10 probability of each symbol of a text, and of its end."""
    ids = [SYMBOLS.index(c) for c in text] + [EOS]
    state, last, found = scorer.start(1), torch.tensor([[2]]), []
    zero = torch.zeros(1, 1, dtype=torch.long)
    for token in ids:
        score, state = scorer.score(last, torch.tensor([[[token]]]), None, state)
        found.append(float(score) / math.log(10))
        state, last = scorer.select(state, Chosen(torch.tensor([0]), zero, zero)), torch.tensor([[token]])
    return found


@pytest.fixture
def arpa(tmp_path):
    (tmp_path / "lm.arpa").write_text(ARPA, encoding="utf-8")
    return tmp_path / "lm.arpa"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好", [-0.2, -0.05, -0.1]),  # <s> 你; <s> 你 好; 好 </s> after backing off from 你 好, weight -0.4
        ("好", [-0.5 - 0.6, -0.1]),  # no <s> 好: the weight of <s>, then 好
        ("你你", [-0.2, -0.1 - 0.3 - 0.5, -0.3 - 0.7]),
        ("吗", [-0.5 - 1.0, -0.7]),  # the model does not know it
        ("", [-0.5 - 0.7]),
    ],
)
def test_values_by_hand(arpa, text, expected):
    if text == "你好":
        expected = [-0.2, -0.05, -0.4 - 0.1]
    assert scores(NgramScorer(arpa, SYMBOLS, EOS), text) == pytest.approx(expected, abs=1e-5)


def test_a_compressed_file(arpa, tmp_path):
    (tmp_path / "lm.arpa.gz").write_bytes(gzip.compress(ARPA.encode()))
    assert scores(NgramScorer(tmp_path / "lm.arpa.gz", SYMBOLS, EOS), "你好") == scores(
        NgramScorer(arpa, SYMBOLS, EOS), "你好"
    )


def test_a_packed_file_scores_the_same(arpa, tmp_path):
    packed = tmp_path / "lm.safetensors"
    assert pack(read_ngrams(arpa, SYMBOLS, EOS), packed, SYMBOLS) == packed.stat().st_size < 1000
    for text in ("你好", "好", "你你", "吗", ""):
        half = pytest.approx(scores(NgramScorer(arpa, SYMBOLS, EOS), text), abs=1e-3)
        assert scores(NgramScorer(packed, SYMBOLS, EOS), text) == half
    with pytest.raises(AsrError, match="lm.safetensors: is for a token table with fingerprint"):
        NgramScorer(packed, SYMBOLS[:-1], EOS)
    packed.write_bytes(packed.read_bytes()[:50])
    with pytest.raises(AsrError, match="lm.safetensors: damaged or no packed language model"):
        NgramScorer(packed, SYMBOLS, EOS)


def test_a_packed_file_of_one_order(tmp_path):
    (tmp_path / "lm.arpa").write_text("\\1-grams:\n-1\t你\n-0.5\t</s>\n", encoding="utf-8")
    pack(read_ngrams(tmp_path / "lm.arpa", SYMBOLS, EOS), tmp_path / "lm.safetensors", SYMBOLS)
    assert scores(NgramScorer(tmp_path / "lm.safetensors", SYMBOLS, EOS), "你") == pytest.approx([-1, -0.5], abs=1e-3)


def test_n_grams_know_their_length_and_what_they_end_in(arpa):
    scorer = NgramScorer(arpa, SYMBOLS, EOS)
    assert read_ngrams(arpa, SYMBOLS, EOS).levels == [0, 1, 6, 9, 10] and scorer.order == 3
    ends_in = {(): None, (4,): (), (4, 5): (5,), (10, 4): (4,), (5, 3): (3,), (10, 4, 5): (4, 5)}
    nodes = {tokens: _node(scorer, tokens) for tokens in ends_in}
    for tokens, shorter in ends_in.items():
        if shorter is not None:
            assert int(scorer.suffix[nodes[tokens]]) == _node(scorer, shorter)


def test_what_n_grams_end_in_is_found_in_blocks(tmp_path, monkeypatch):
    train_ngram(["你好吗", "再见你好", "好好好", "见你再"], tmp_path / "lm.arpa", 4)
    whole = NgramScorer(tmp_path / "lm.arpa", SYMBOLS, EOS)
    monkeypatch.setattr(ngram, "BLOCK", 2)
    assert torch.equal(NgramScorer(tmp_path / "lm.arpa", SYMBOLS, EOS).suffix, whole.suffix)


def _node(scorer: NgramScorer, tokens: tuple[int, ...]) -> int:
    node = torch.tensor(0)
    for token in tokens:
        node = scorer.edges.follow(node, torch.tensor(token))
    return int(node)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("prune, size", [(0, 0), (1, 0), (0, 12)])
def test_an_estimated_model_is_a_distribution(tmp_path, order, prune, size):
    """After any context the probabilities of all symbols, the end and <unk> add up to 1."""
    texts = ["你好", "你好吗", "你好吗", "再见", "你再见", "好好好"]
    assert 6 < train_ngram(texts, tmp_path / "lm.arpa", order, prune, size=size) <= (size or 100)
    scorer = NgramScorer(tmp_path / "lm.arpa", SYMBOLS, EOS)
    candidates = torch.tensor([[[EOS, 4, 5, 6, 7, 8, 9]]])  # 龘 stands for <unk>
    for context in itertools.chain.from_iterable(itertools.product([4, 5, 6, 7, 8], repeat=n) for n in range(4)):
        state, zero = scorer.start(1), torch.zeros(1, 1, dtype=torch.long)
        for token in context:
            _, state = scorer.score(zero, torch.tensor([[[token]]]), None, state)
            state = scorer.select(state, Chosen(torch.tensor([0]), zero, zero))
        found, _ = scorer.score(zero, candidates, None, state)
        assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_kneser_ney_by_hand(tmp_path):
    """Of 甲乙, 甲乙, 甲甲. Single words count by what comes before them: 甲 two, 乙 one, the end two; discount 1 / (1 + 2 · 2).

    Pairs: <s>甲 three, 甲乙 and 乙</s> two, 甲甲 and 甲</s> one; discount 2 / (2 + 2 · 2).
    """
    train_ngram(["甲乙", "甲乙", "甲甲"], tmp_path / "lm.arpa", 2)
    lines = (
        line.split("\t") for line in (tmp_path / "lm.arpa").read_text(encoding="utf-8").splitlines() if "\t" in line
    )
    found = {words: [10 ** float(x) for x in (probability, *rest)] for probability, words, *rest in lines}
    assert found["<unk>"] == pytest.approx([0.03], rel=1e-4)  # (1 - 1.8/5 - 0.8/5 - 1.8/5) / 4
    assert found["甲"] == pytest.approx(
        [1.8 / 5 + 0.03, 0.25], rel=1e-4
    )  # three follow it, 1/3 of 4 is taken from each
    assert found["甲 乙"] == pytest.approx([(2 - 1 / 3) / 4 + 0.25 * (0.8 / 5 + 0.03)], rel=1e-4)
    assert found["<s> 甲"] == pytest.approx([(3 - 1 / 3) / 3 + 1 / 9 * 0.39], rel=1e-4)
    assert found["<s>"][0] == pytest.approx(0) and len(found) == 10


TEXTS = ["天气很好", "今天天气不好", "今天很好", "明天天气很好", "好好好", "天天很好", "明天不好"] * 2 + ["很好"]


def arpa_entries(path: Path) -> dict[tuple[str, ...], float]:
    """Probabilities by n-gram, those of <s> alone left out."""
    lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line)
    return {tuple(words.split()): 10 ** float(p) for p, words, *_ in lines if words != "<s>"}


def distribution(model: dict[tuple[str, ...], float], context: tuple[str, ...]) -> dict[str, float]:
    """Of all words after a context: what is listed, and what is left shared out as after the shorter context."""
    if not context:
        return {gram[0]: p for gram, p in model.items() if len(gram) == 1}
    shorter = distribution(model, context[1:])
    listed = {gram[-1]: p for gram, p in model.items() if gram[:-1] == context}
    left = (1 - sum(listed.values())) / (1 - sum(shorter[word] for word in listed))
    return {word: listed.get(word, left * p) for word, p in shorter.items()}


@pytest.mark.parametrize("order", [2, 3])
def test_an_ngram_is_worth_the_relative_entropy_of_the_model_without_it(tmp_path, order):
    train_ngram(TEXTS, tmp_path / "lm.arpa", order, 0)
    model = arpa_entries(tmp_path / "lm.arpa")
    texts = [("<s>", *text, "</s>") for text in TEXTS]
    times = Counter(text[i : i + n] for text in texts for n in (1, 2) for i in range(len(text)))
    longer = sorted((gram for gram in model if len(gram) > 1), key=len, reverse=True)
    worth = Counter()
    for gram in longer:
        before = distribution(model, gram[:-1])
        after = distribution({other: p for other, p in model.items() if other != gram}, gram[:-1])
        alone = times[gram[:-1]] * sum(p * math.log(p / after[word]) for word, p in before.items())
        worth[gram] = max(alone, worth[gram])
        for needed in (gram[:-1], gram[1:]):
            worth[needed] = max(worth[needed], worth[gram])
    ranked = sorted(longer, key=worth.get, reverse=True)
    told_apart = [n for n in range(1, len(ranked)) if worth[ranked[n - 1]] - worth[ranked[n]] > 1e-3]
    assert len(told_apart) > 7
    for n in told_apart:
        single = len(model) - len(longer)
        assert train_ngram(TEXTS, tmp_path / "less.arpa", order, 0, size=single + n) == single + n
        less = arpa_entries(tmp_path / "less.arpa")
        assert {gram for gram in less if len(gram) > 1} == set(ranked[:n])
        assert all(p == pytest.approx(model[gram], rel=1e-5) for gram, p in less.items())


def test_a_smaller_model_has_what_its_longer_ngrams_need_and_keeps_more_of_what_it_says(tmp_path):
    whole = train_ngram(TEXTS, tmp_path / "whole.arpa", 3, 0)
    size = train_ngram(TEXTS, tmp_path / "pruned.arpa", 3, 2)
    assert train_ngram(TEXTS, tmp_path / "small.arpa", 3, 0, size=size) <= size < whole
    small, pruned = arpa_entries(tmp_path / "small.arpa"), arpa_entries(tmp_path / "pruned.arpa")
    assert all(gram[1:] in small and (gram[:-1] in small or gram[0] == "<s>") for gram in small if len(gram) > 1)

    def log_likelihood(model: dict[tuple[str, ...], float]) -> float:
        texts = [("<s>", *text, "</s>") for text in TEXTS]
        return sum(
            math.log(distribution(model, text[max(0, i - 2) : i])[text[i]])
            for text in texts
            for i in range(1, len(text))
        )

    assert log_likelihood(small) > log_likelihood(pruned)


def test_what_occurs_often_is_kept_though_one_word_alone_comes_before_it(tmp_path):
    train_ngram(["甲乙丙丁戊"] * 20 + ["子丑寅卯"], tmp_path / "lm.arpa", 4, prune=1)
    kept = (tmp_path / "lm.arpa").read_text(encoding="utf-8")
    assert "\t甲 乙 丙 丁\t" not in kept and "\t甲 乙 丙 丁\n" in kept and "\t乙 丙 丁\t" in kept
    assert "子 丑 寅" not in kept and "\t子 丑\n" in kept


def test_it_prefers_what_it_has_read(tmp_path):
    train_ngram(["你好吗"] * 5 + ["再见"] * 5, tmp_path / "lm.arpa", 3)
    scorer = NgramScorer(tmp_path / "lm.arpa", SYMBOLS, EOS)
    assert sum(scores(scorer, "你好吗")) > sum(scores(scorer, "你见吗")) + 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lm.arpa: is empty"),
        (
            "\\1-grams:\n-1.0\t你 好\t-0.1\tx\n",
            "lm.arpa:2: a 1-gram must be a number, 1 words and perhaps a number, is",
        ),
        (
            "version https://git-lfs.github.com/spec/v1\nsize 9\n",
            "lm.arpa: is what Git LFS leaves in the place of the file, which",
        ),
        ("今天天气很好\n", "lm.arpa: not an ARPA language model (no line such as \\1-grams: is in it)"),
        ("\\1-grams:\nabc\t你\n", "lm.arpa:2: not an ARPA language model (could not convert"),
        ("\\1-grams:\n-1\t你\nnan\t好\n", "lm.arpa:3: nan: no logarithms of probabilities"),
        ("\\1-grams:\n-1\t你\tinf\n", "lm.arpa:2: -1, inf: no logarithms of probabilities"),
        ("\\1-grams:\n-inf\t你\n", "lm.arpa:2: -inf: no logarithms of probabilities"),
        ("\\1-grams:\nnan\t今天\n", "lm.arpa:2: nan: no logarithms of probabilities"),  # of a word without a token, too
        ("\\1-grams:\n-1\t你\n1.5\t好\n", "lm.arpa:3: 1.5 is no logarithm of a probability: those are 0 at most"),
        ("\\1-grams:\n-1\t你\n\\2-grams:\n-1\t好 你\n", "lm.arpa:4: its context is no n-gram of the model"),
    ],
)
def test_what_is_no_arpa_file(tmp_path, content, message):
    (tmp_path / "lm.arpa").write_text(content, encoding="utf-8")
    with pytest.raises(AsrError, match=re.escape(message)):
        NgramScorer(tmp_path / "lm.arpa", SYMBOLS, EOS)


def test_what_may_be_a_logarithm(tmp_path):
    """Weights may be above 0, SRILM writes -99, KenLM 0 for <s>, and others round."""
    (tmp_path / "lm.arpa").write_text("\\1-grams:\n0\t<s>\t0.7\n-99\t你\t-0\n1e-8\t好\n", encoding="utf-8")
    assert len(read_ngrams(tmp_path / "lm.arpa", SYMBOLS, EOS).log_prob) == 4


def test_a_model_of_words_is_told(tmp_path):
    arpa = tmp_path / "lm.arpa"
    arpa.write_text("\\1-grams:\n-1\t今天\n-1\t天气\n-1\t你\n-1\tHELLO\n", encoding="utf-8")
    with pytest.raises(
        AsrError, match=r"lm.arpa: is a language model of words \(今天, 天气\), the model writes characters"
    ):
        require_characters(arpa, SYMBOLS)
    require_characters(arpa, [*SYMBOLS, "今天"])  # most of its words are tokens, of a model of pieces
    arpa.write_text("\\1-grams:\n-1\t你\n-1\t好\n-1\t今天\n", encoding="utf-8")
    require_characters(arpa, SYMBOLS)


def test_a_model_none_of_whose_words_is_a_token_is_told(tmp_path):
    arpa = tmp_path / "lm.arpa"
    arpa.write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<s>\n-1\tni3\n-1\thao3\n", encoding="utf-8")
    with pytest.raises(AsrError, match=r"lm.arpa: none of its words \(ni3, hao3\) is a token of the model"):
        require_characters(arpa, SYMBOLS)
    arpa.write_text("\\1-grams:\n-1\t<s>\n-1\t</s>\n", encoding="utf-8")
    require_characters(arpa, SYMBOLS)


def test_a_model_of_words_is_told_by_the_commands(tmp_path, run):
    arpa, toy = tmp_path / "lm.arpa", ROOT / "tests/fixtures/toy"
    arpa.write_text("\\1-grams:\n-1\t今天\n-1\t天气\n-1\t</s>\n", encoding="utf-8")
    status, _, err = run(
        "transcribe", "data/sample/weather.flac", "--model", toy, "--lm", arpa, "--decode", "lm_weight=0.3"
    )
    assert (
        status == 1 and "lm.arpa: is a language model of words" in err and "asr train-lm makes one of characters" in err
    )


def test_a_compressed_file_that_is_cut_short(arpa, tmp_path):
    whole = gzip.compress(Path(arpa).read_bytes())
    (tmp_path / "cut.arpa.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AsrError, match=r"cut.arpa.gz:\d+: not an ARPA language model"):
        NgramScorer(tmp_path / "cut.arpa.gz", SYMBOLS, EOS)


@pytest.mark.parametrize("line", ["-0.1\t好 </s>\n", "-0.05\t<s> 你 好\n"])
def test_a_file_that_lacks_what_its_head_announces(tmp_path, line):
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA.replace(line, ""), encoding="utf-8")
    n = len(line.split()) - 1
    with pytest.raises(AsrError, match=f"lm.arpa: is cut off or damaged: of its {n}-grams there are 1 fewer than"):
        read_ngrams(path, SYMBOLS, EOS)


def test_bytes_have_no_words(tmp_path):
    (tmp_path / "lm.arpa").write_bytes(b"fLaC\0 \xff\xfe\n" * 10)
    require_characters(tmp_path / "lm.arpa", SYMBOLS)
    with pytest.raises(AsrError, match=r"lm\.arpa: not an ARPA language model \(not UTF-8: "):
        read_ngrams(tmp_path / "lm.arpa", SYMBOLS, EOS)


def test_nothing_to_learn_from(tmp_path):
    with pytest.raises(ConfigError, match="no text to estimate"):
        train_ngram([], tmp_path / "lm.arpa")
    with pytest.raises(ConfigError, match="order must be at least 1, is 0"):
        train_ngram(["你"], tmp_path / "lm.arpa", 0)
    with pytest.raises(ConfigError, match="size must be at least 3, the single words, is 2"):
        train_ngram(["你"], tmp_path / "lm.arpa", size=2)
    assert not (tmp_path / "lm.arpa").exists()
