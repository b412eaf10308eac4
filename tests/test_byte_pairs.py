import json
import random

import pytest

from asr.text.byte_pairs import BytePairTokenizer, byte_symbols, holds_bytes
from asr.text.tokenizer import TokenTable
from tests.conftest import ROOT

SPECIAL = ["<blank/unk>", "<sos>", "<eos>", "<|zh|>"]
ZHONG, GUO = "ä¸Ń", "åĽ½"
"""中 and 国 as GPT-2 writes their bytes: E4 B8 AD and E5 9B BD."""


def tokenizer(*joined: str) -> BytePairTokenizer:
    return BytePairTokenizer(TokenTable([*SPECIAL, *byte_symbols(), *joined]))


def first_id(byte: int) -> int:
    return len(SPECIAL) + byte


def test_symbols_are_those_of_gpt2():
    symbols = byte_symbols()
    assert len(set(symbols)) == 256 and not any(s.isspace() for s in symbols)
    assert "".join(symbols[b] for b in "中国 A\n".encode()) == ZHONG + GUO + "ĠAĊ"


def test_a_table_of_bytes_is_known_by_all_256_of_them():
    assert holds_bytes(tokenizer().table)
    assert not holds_bytes(TokenTable([*SPECIAL, *byte_symbols()[:-1]]))


def test_neighbours_are_joined_in_the_order_of_their_ids():
    """ab comes before bc, so that abc is ab and c, though there is a bc; with aa, aaa is aa and a."""
    found = tokenizer("ab", "bc", "bcd", "aa")
    pieces = [found.table.tokens[i] for i in found.split("abc")]
    assert pieces == ["ab", "c"] and [found.table.tokens[i] for i in found.split("aaa")] == ["aa", "a"]
    assert [found.table.tokens[i] for i in found.split("bcd")] == ["bcd"]


def test_letters_digits_and_signs_are_not_joined():
    found = tokenizer("a1", "1.", "Ġa", "aĠ")
    assert [found.table.tokens[i] for i in found.split("b a1.")] == ["b", "Ġa", "1", "."]


def test_a_character_comes_with_its_last_byte():
    found = tokenizer(ZHONG, "åĽ", GUO + ZHONG)
    zhong, part, both = (len(SPECIAL) + 256 + i for i in range(3))
    assert found.pieces([zhong, part, first_id(0xBD), both]) == ["中", "", "国", "国中"]
    assert found.decode([first_id(ord(" ")), zhong, 2, 3]) == "中", "special tokens are no text"


def test_bytes_that_are_no_character_are_shown_as_such():
    found = tokenizer()
    assert found.pieces([first_id(0xE4), first_id(ord("a"))]) == ["", "\ufffda"]
    assert found.pieces([first_id(ord("a")), first_id(0xE4), first_id(0xB8)]) == ["a", "", "\ufffd"]
    assert found.pieces([]) == []


@pytest.mark.parametrize("text", ["今天天气很好,我们去公园", "Hello world 123 GPT-4 it's", "a  b\tc\n d ", "😀é_½ⅷ"])
def test_nothing_is_unknown_and_nothing_is_lost(text):
    found = tokenizer(ZHONG, "ll", "Ġw")
    assert found.unknown(text) == [] and "".join(found.pieces(found.split(text))) == text


TOKENIZERS = {
    "今天天气很好，我们去公园。": "271 298 298 162 108 242 312 230 299 121 171 120 234 315 274 284 161 227 105 291 255 159 222"
    " 224",
    "Hello world 123 北京 GPT-4 it's": "39 68 75 75 78 220 86 78 81 75 67 220 16 17 18 220 161 234 245 267 105 220 38 47 51 12"
    " 19 220 72 83 6 82",
    "中国的  人\n在这里": "262 292 163 248 226 220 220 269 198 294 164 123 247 165 229 234",
    '他说:"好" 😀é': "272 164 107 112 25 1 299 121 1 220 172 253 246 222 127 102",
}
"""Texts, and what Hugging Face's tokenizers 0.23 makes of them with the merges of the fixture."""


@pytest.mark.parametrize(("text", "ids"), TOKENIZERS.items())
def test_ids_are_those_that_the_list_of_merges_gives(text, ids):
    path = ROOT / "tests/fixtures/interop/whisper-tiny-hf/vocab.json"
    tokens = [f"<|{i}|>" for i in range(382)]
    for token, i in json.loads(path.read_text(encoding="utf-8")).items():
        tokens[i] = token
    tokens[330:333] = ["<sos>", "<eos>", "<blank/unk>"]
    assert BytePairTokenizer(TokenTable(tokens)).split(text) == [int(i) for i in ids.split()]


def test_long_words_are_joined_as_short_ones_are():
    """Of all neighbours that make a token those of the lowest id first, of several the ones in front."""
    table = tokenizer("ab", "ba", "aa", "aba", "aaaa", "abab", "baa")

    def one_by_one(word: str) -> list[int]:
        parts, ids = list(word), table.table.ids
        while found := [
            (ids[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:], strict=False)) if a + b in ids
        ]:
            made, i = min(found)
            parts[i : i + 2] = [table.table.tokens[made]]
        return [ids[part] for part in parts]

    words = ["".join(random.Random(seed).choices("aab", k=40)) for seed in range(50)]
    assert [table.split(word) for word in words] == [one_by_one(word) for word in words]
    assert len(table.split("a" * 100_000)) == 25_000
