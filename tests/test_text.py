import random

import pytest

from asr.errors import TokenError
from asr.text.normalize import characters, is_han, normalize
from asr.text.tokenizer import CharacterTokenizer, TokenTable

SPECIAL = ["<blank>", "<unk>", "<sos>", "<eos>"]


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("", ""),
        ("你好", "你好"),
        # full width, half width and case
        ("你好，ＡＢＣ 公司!", "你好ABC公司"),
        ("ｈｅｌｌｏ　ｗｏｒｌｄ", "HELLO WORLD"),
        ("iPhone１５", "IPHONE15"),
        ("ｶﾗｵｹ", "カラオケ"),
        ("straße", "STRASSE"),
        # punctuation, symbols and control characters
        ("《红楼梦》：第一回……“好”！？、；。", "红楼梦第一回好"),
        (" \t你\u3000好\r\n", "你好"),
        ("，。！", ""),
        ("don't", "DON T"),
        ("e-mail@qq.com", "E MAIL QQ COM"),
        ("3.5%", "3 5"),
        ("你\u200b好\ufeff吗\x00", "你好吗"),
        ("好😀吧", "好吧"),
        ("A▁B", "A B"),
        ("<unk>你<eos>", "UNK你EOS"),
        # spaces stay between two words that are not Han, and only there
        ("hello  world", "HELLO WORLD"),
        ("我 爱 你", "我爱你"),
        ("我 love 你", "我LOVE你"),
        ("4 A 级", "4 A级"),
        ("〇 A 〇", "〇A〇"),
        # digits, erhua and the zero that is a Han character are left as written
        ("2024年", "2024年"),
        ("二〇二四年", "二〇二四年"),
        ("一会儿", "一会儿"),
        ("花儿 儿子", "花儿儿子"),
        # one spelling for what looks the same
        ("cafe\u0301", "CAF\u00c9"),
        ("\uf900\u2f00", "豈一"),
        ("㈠①㎏ﬁ½", "一1KGFI1 2"),
        ("𠮷野家", "𠮷野家"),
        ("繁體", "繁體"),
    ],
)
def test_normalisation(text, normalised):
    assert normalize(text) == normalised


@pytest.mark.parametrize(("text", "normalised"), [("好❤\ufe0f吧", "好吧"), ("葛\U000e0100", "葛")])
def test_variation_selectors_are_no_characters(text, normalised):
    """An emoji is often followed by U+FE0F; each one left over would be an error in the CER."""
    assert normalize(text) == normalised


ALPHABETS = [
    "你好儿〇一二三 ，。",
    "abcXYZ019 .-'",
    "ａＢ１　！ｶﾞ①㎏ﬁ\u00e9\u00df\u0130\u0131",
    "我a 1か゛é\u0308\u200d😀𠮷\uf900豈",
]


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_normalising_twice_changes_nothing_more(alphabet):
    source = random.Random(0)
    for _ in range(500):
        text = normalize("".join(source.choices(alphabet, k=12)))
        assert normalize(text) == text


def test_normalising_any_character_twice_changes_nothing_more():
    for code in [*range(0xD800), *range(0xE000, 0x20000)]:
        text = normalize(chr(code))
        assert normalize(text) == text


def test_characters_are_what_cer_counts():
    assert characters("我 love 你, OK?") == list("我LOVE你OK")
    assert characters("A B") == ["A", "B"]
    assert characters("……") == []


@pytest.mark.parametrize(
    ("character", "han"), [("你", True), ("〇", True), ("𠮷", True), ("あ", False), ("A", False), ("1", False)]
)
def test_is_han(character, han):
    assert is_han(character) is han


def tokenizer(*texts: str) -> CharacterTokenizer:
    return CharacterTokenizer(TokenTable.build(texts))


@pytest.mark.parametrize("text", ["你好", "HELLO WORLD", "我LOVE你", "4 A级OK", "2024年", ""])
def test_decoding_gives_the_text_back(text):
    tokens = tokenizer("你好我级年", "HELLO WORLD LOVE OK A 2024")
    assert tokens.decode(tokens.encode(text)) == text


def test_a_space_is_a_token_and_an_unknown_character_is_unk():
    tokens = CharacterTokenizer(TokenTable([*SPECIAL, "你", "A", "▁"]))
    assert tokens.encode("a A, 你!") == [5, 6, 5, 4]
    assert tokens.encode("你们A") == [4, 1, 5]
    assert tokens.encode("▁") == []
    assert tokens.unknown("你们 A B 们") == ["们", "B", "们"]


def test_special_tokens_have_no_text():
    tokens = CharacterTokenizer(TokenTable([*SPECIAL, "你", "A", "▁"]))
    assert tokens.decode([2, 4, 1, 5, 0, 6, 5, 6, 3]) == "你A A"


def test_a_table_holds_the_frequent_characters_first_and_then_by_code():
    table = TokenTable.build(["你好", "你 好 吗", "你 A b", "a B"])
    assert table.tokens == (*SPECIAL, "你", "A", "B", "▁", "好", "吗")
    assert (table.blank, table.unk, table.sos, table.eos, len(table)) == (0, 1, 2, 3, 10)
    assert TokenTable.build(["你好", "你 好 吗", "你 A b", "a B"], min_count=3).tokens == (*SPECIAL, "你")


def test_nothing_to_build_a_table_from():
    with pytest.raises(TokenError, match="no character occurs 2 times: nothing to build a token table from"):
        TokenTable.build(["你好", "!"], min_count=2)


def test_a_table_survives_saving_and_loading(tmp_path):
    table = TokenTable.build(["你好 𠮷", "HELLO WORLD"])
    table.save(tmp_path / "tokens.txt")
    loaded = TokenTable.load(tmp_path / "tokens.txt")
    assert loaded.tokens == table.tokens and loaded.fingerprint == table.fingerprint
    assert (tmp_path / "tokens.txt").read_text(encoding="utf-8").startswith("<blank>\n<unk>\n<sos>\n<eos>\n")


def test_special_tokens_may_stand_anywhere():
    """Tables of published models begin `<blank> <unk>` and end in `<sos/eos>` or the like."""
    table = TokenTable(["<eos>", "你", "<blank>", "<sos>", "<unk>"])
    assert (table.blank, table.unk, table.sos, table.eos) == (2, 4, 3, 0)


def test_the_fingerprint_is_of_tokens_and_order():
    first = TokenTable([*SPECIAL, "你", "好"])
    assert first.fingerprint == TokenTable([*SPECIAL, "你", "好"]).fingerprint
    assert len(first.fingerprint) == 16 and int(first.fingerprint, 16)
    others = [[*SPECIAL, "好", "你"], [*SPECIAL, "你"], [*SPECIAL, "你好"]]
    assert len({first.fingerprint, *(TokenTable(t).fingerprint for t in others)}) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<blank>\n<unk>\n<sos>\n<eos>\n你\n你\n", r"t\.txt: token table: '你' stands in it twice"),
        ("<blank>\n<unk>\n<sos>\n你\n", r"t\.txt: token table: <eos> is missing; 4 tokens were read"),
        ("", r"t\.txt: token table: <blank> is missing; 1 tokens were read"),
    ],
)
def test_damaged_tables(tmp_path, content, message):
    (tmp_path / "t.txt").write_text(content, encoding="utf-8")
    with pytest.raises(TokenError, match=message):
        TokenTable.load(tmp_path / "t.txt")


def test_tables_that_cannot_be_read(tmp_path):
    with pytest.raises(TokenError, match=r"t\.txt: no such file"):
        TokenTable.load(tmp_path / "t.txt")
    (tmp_path / "t.txt").write_bytes("<blank>\n你\n".encode("gb18030"))
    with pytest.raises(TokenError, match=r"t\.txt: cannot be read as a token table .*UTF-8"):
        TokenTable.load(tmp_path / "t.txt")
