"""Tables of pieces that hold single bytes for all else, and SentencePiece models that are written here."""

import pytest

from asr.interop.sentence_piece_files import BPE, BYTE, CONTROL, NORMAL, UNIGRAM, UNKNOWN, Piece, sentence_piece_model
from asr.text.sentence_pieces import PieceTokenizer
from asr.text.tokenizer import BYTES, CharacterTokenizer, TokenTable

SPECIAL = ["<blank/unk>", "<sos>", "<eos>", "<|zh|>"]
TEXTS = ["▁", "今", "天", "好", "今天", "▁h", "i", "h", "▁hi"]
TABLE = TokenTable([*SPECIAL, *BYTES, *TEXTS])


def ids_of(*tokens: str | bytes) -> list[int]:
    found: list[int] = []
    for token in tokens:
        names = [f"<0x{byte:02X}>" for byte in token] if isinstance(token, bytes) else [token]
        found += [TABLE.ids[name] for name in names]
    return found


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        (("今天", "鿏".encode(), "好"), ["今天", "", "", "鿏", "好"]),
        (("é今".encode(), "▁hi"), ["", "é", "", "", "今", " hi"]),
        ((b"\xe4\xbb", "天"), ["", "", "\ufffd天"]),
        ((b"A\xff\xff", "天"), ["A", "\ufffd", "\ufffd", "天"]),
        (("天", b"\xe4"), ["天", "\ufffd"]),
        (("<|zh|>", b"A", "<eos>"), ["", "A", ""]),
        ((), []),
    ],
)
def test_bytes_become_characters(tokens, pieces):
    """A character comes with its last byte; what is no UTF-8 is U+FFFD, and takes no character beside it along."""
    tokenizer = CharacterTokenizer(TABLE)
    assert tokenizer.pieces(ids_of(*tokens)) == pieces
    assert tokenizer.decode(ids_of(*tokens)) == "".join(pieces).strip()


def test_bytes_are_written_and_special_tokens_are_not():
    assert not TABLE.silent & TABLE.bytes.keys() and {0, 1, 2, 3} == TABLE.silent
    assert TABLE.never_written == [0, 1, 3]
    some = TokenTable([*SPECIAL, "<0x41>", "<0x42>", "天"])
    assert not some.bytes and some.ids["<0x41>"] in some.silent, (
        "where not all bytes are there, it is a noise like any other"
    )


def pieces() -> list[Piece]:
    scores = {token: -float(i) for i, token in enumerate(TEXTS)}
    special = [Piece(token, 0.0, CONTROL if i else UNKNOWN) for i, token in enumerate(SPECIAL)]
    return [*special, *(Piece(token, 0.0, BYTE) for token in BYTES), *(Piece(t, scores[t], NORMAL) for t in TEXTS)]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (BPE, "今天好", ["▁", "今天", "好"]),
        (BPE, "hi 今鿏", ["▁hi", "今", "鿏".encode()]),
        (UNIGRAM, "今天好", ["▁", "今", "天", "好"]),
        (UNIGRAM, "é", ["▁", "é".encode()]),
    ],
)
def test_a_written_model_splits_texts(kind, text, expected, tmp_path):
    """By BPE what was joined comes first; of unigrams the likeliest path: 1 + 2 against 4 for 今天."""
    path = tmp_path / "pieces.model"
    path.write_bytes(sentence_piece_model(pieces(), kind))
    tokenizer = PieceTokenizer(TABLE, path)
    assert tokenizer.whole and tokenizer.encode(text) == ids_of(*expected)
    assert tokenizer.unknown(text) == []


def test_a_space_in_front_only_where_it_is_asked_for(tmp_path):
    path = tmp_path / "pieces.model"
    path.write_bytes(sentence_piece_model(pieces(), BPE, space_in_front=False))
    assert PieceTokenizer(TABLE, path).encode("今天") == ids_of("今天")


def test_special_pieces_at_the_end_may_have_other_names(tmp_path):
    """Of a model that numbers them last, the table calls them sos and eos."""
    path, listed = tmp_path / "pieces.model", [Piece("<unk>", 0.0, UNKNOWN), Piece("天", -1.0, NORMAL)]
    path.write_bytes(sentence_piece_model([*listed, Piece("<s>", 0.0, CONTROL), Piece("</s>", 0.0, CONTROL)], BPE))
    assert PieceTokenizer(TokenTable(["<blank/unk>", "天", "<sos>", "<eos>"]), path).whole
