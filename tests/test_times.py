"""Times and confidences of transcripts, and known text aligned with recordings."""

import json
import math

import numpy as np
import pytest

from asr.audio.reading import SAMPLE_RATE
from asr.catalogue.opening import open_model
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import Hypothesis
from asr.errors import AsrError
from asr.model.folder import save_model
from asr.recognition.recognized import Recognized
from asr.recognition.transcript_tokens import transcript_tokens
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.transcript import Transcript
from asr.transcription.aligning import LONGEST_ATTENTION, Aligner, ends_in_text
from asr.transcription.transcriber import load
from tests.conftest import ROOT, random_model
from tests.sounds import noise, silence, speech

CLIPS = {"beijing": "她在北京上大学", "recognition": "语音识别", "weather": "今天天气很好"}
"""Samples of data/sample and what is said in them."""


def check_invariants(transcript: Transcript) -> int:
    """Tokens are in order, inside their segments, none without a span; together they are the text. Returns how many."""
    n = 0
    for segment in transcript.segments:
        times = [t for token in segment.tokens for t in (token.start, token.end)]
        assert times == sorted(times) and all(segment.start <= t <= segment.end for t in times)
        assert all(token.start < token.end for token in segment.tokens)
        assert all(0 <= token.confidence <= 1 for token in segment.tokens)
        sources = [place for token in segment.tokens for place in token.source]
        assert sources == sorted(sources)
        assert segment.text == segment.raw
        n += len(segment.tokens)
    return n


@pytest.fixture(scope="module", params=["ctc", "attention"])
def tiny(request, tmp_path_factory):
    """A random model with a CTC head and one without."""
    from asr.corpus.toy import CHARACTERS

    folder = tmp_path_factory.mktemp(request.param) / "tiny"
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *CHARACTERS])
    save_model(folder, random_model(subsampling=6, ctc=request.param == "ctc"), table)
    return folder


@pytest.mark.parametrize("ctc_weight", [0.0, 0.5])
def test_every_token_has_its_place(tiny, ctc_weight):
    transcriber = load(tiny, "cpu", decode=DecodeConfig(beam=2, ctc_weight=ctc_weight))
    lengths = (0.3, 1.0, 40.0)
    found = [check_invariants(transcriber.transcribe((speech(s, seed=i), SAMPLE_RATE))) for i, s in enumerate(lengths)]
    assert sum(found) > 20


def test_times_do_not_depend_on_what_is_decoded_together(tiny):
    transcriber = load(tiny, "cpu", decode=DecodeConfig(beam=2))
    alone = transcriber.recognizer.recognize([noise(3.0)], timed=True)[0][0]
    among = transcriber.recognizer.recognize([noise(2.0, seed=5), noise(3.0), noise(5.0, seed=6)], timed=True)[1][0]
    assert alone.spans == among.spans and len(alone.spans) == len(alone.hypothesis.tokens) > 0


def test_times_go_on_where_audio_was_decoded_in_pieces(tiny):
    """A hypothesis that loops is decoded again in halves; times of the second half come after the cut."""
    transcriber = load(tiny, "cpu", decode=DecodeConfig(beam=1, max_chars_per_second=30, stop_loops=False))
    result = transcriber.recognizer.recognize([noise(6.0)], timed=True)[0][0]
    assert any("decoded again in pieces" in warning for warning in result.hypothesis.warnings)
    assert len(result.spans) == len(result.hypothesis.tokens)
    flat = [t for span in result.spans for t in span]
    assert flat == sorted(flat) and flat[-1] <= 6.0


def test_times_are_computed_where_they_are_asked_for():
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"一二三四五六七八九十百千万亿零甲乙丙丁戊"])
    from asr.recognition.recognizer import Recognizer

    recognizer = Recognizer(random_model(), CharacterTokenizer(table), DecodeConfig(beam=1))
    assert recognizer.recognize([noise(2.0)])[0][0].spans == ()


class Pieces:
    """A tokenizer of pieces, as far as a transcript needs it."""

    texts = [" HELLO", " WOR", "LD", "你", "", "好", "，", " 3", ".5", "米"]

    def pieces(self, ids):
        return [self.texts[i] for i in ids]


def recognized(ids, log_probs=None) -> Recognized:
    log_probs = log_probs or [math.log(0.5)] * len(ids)
    spans = tuple((i / 10, i / 10 + 0.1) for i in range(len(ids)))
    return Recognized("", Hypothesis(tuple(ids), 0.0, tuple(log_probs)), spans=spans)


def test_pieces_become_words():
    log_probs = [math.log(p) for p in (0.9, 0.4, 0.9, 0.8, 0.1, 0.7, 0.6, 0.5, 0.5, 0.5)]
    tokens = transcript_tokens(recognized(range(10), log_probs), Pieces(), 2.0, 60.0)
    assert [(t.text, t.start, t.end, t.source, t.mark) for t in tokens] == [
        ("HELLO", 2.0, 2.1, (0, 0), ""),
        ("WORLD", 2.1, 2.3, (1, 2), ""),
        ("你", 2.3, 2.4, (3, 3), ""),
        ("好", 2.5, 2.6, (5, 5), "，"),
        ("3.5", 2.7, 2.9, (7, 8), ""),
        ("米", 2.9, 3.0, (9, 9), ""),
    ]
    assert [t.confidence for t in tokens[:3]] == [0.9, 0.6, 0.8]  # 0.6 is the geometric mean of 0.4 and 0.9


def test_characters_of_one_piece_share_its_time(monkeypatch):
    monkeypatch.setattr(Pieces, "texts", ["▁今天", "天气好"])
    monkeypatch.setattr(Pieces, "pieces", lambda self, ids: [self.texts[i].replace("▁", " ") for i in ids])
    tokens = transcript_tokens(recognized([0, 1]), Pieces(), 1.0, 60.0)
    assert [(t.text, t.start, t.end, t.source) for t in tokens] == [
        ("今", 1.0, 1.05, (0, 0)),
        ("天", 1.05, 1.1, (0, 0)),
        ("天", 1.1, 1.133, (1, 1)),
        ("气", 1.133, 1.167, (1, 1)),
        ("好", 1.167, 1.2, (1, 1)),
    ]


def test_times_are_rounded_but_stay_inside():
    (token,) = transcript_tokens(recognized([3]), Pieces(), 0.0004, 0.0996)
    assert (token.start, token.end) == (0.0, 0.0996)


def test_transcribe_in_every_format(run, tmp_path):
    clip = ROOT / "data/sample/weather.flac"
    formats = "srt,vtt,tsv,textgrid,manifest"
    status, _, err = run("transcribe", clip, "--format", formats, "--out", tmp_path, "--punctuate")
    assert status == 0, err
    assert all((tmp_path / f"weather.{end}").stat().st_size > 50 for end in ("srt", "vtt", "tsv", "TextGrid", "jsonl"))
    assert "今天天气很好\n" in (tmp_path / "weather.srt").read_text(encoding="utf-8")
    assert '今天天气很好"' in (tmp_path / "weather.jsonl").read_text(encoding="utf-8")  # raw: without punctuation
    for format in ("srt", "vtt", "tsv", "textgrid"):
        assert run("transcribe", clip, ROOT / "data/sample/beijing.flac", "--format", format) == (
            2,
            "",
            f"asr: 2 recordings cannot be printed as one {format} document; give them a folder with --out\n",
        )
    status, out, _ = run("transcribe", clip, clip, "--format", "json")
    assert status == 0 and [json.loads(line)["text"] for line in out.splitlines()] == 2 * ["今天天气很好"]
    status, out, _ = run("transcribe", clip, "--format", "vtt", "--words", "--script", "traditional")
    assert status == 0 and ">氣<" in out


def test_attention_aligns_longer_recordings_piece_by_piece(tiny):
    """Whatever a model writes for the pieces: all of the text is there, in order, within the recording."""
    samples = np.concatenate([noise(4, level=0.3), silence(1)] * 8)
    assert len(samples) > (LONGEST_ATTENTION + 1) * SAMPLE_RATE
    transcript = Aligner(open_model(tiny), "attention").align((samples, SAMPLE_RATE), "今天\n天")
    check_invariants(transcript)
    assert [segment.text for segment in transcript.segments] == ["今天", "天"]
    if "attention" in str(tiny):
        with pytest.raises(AsrError, match="tiny: has no CTC head to align by; its attention can"):
            Aligner(open_model(tiny), "ctc")


@pytest.mark.parametrize(
    ("written", "text", "ends"),
    [
        (["你好", "世杰"], "你好世界", [2, 4]),
        (["今天", "", "很好"], "今天很好", [2, 2, 4]),
        (["甲乙", "丙丁"], "子丑寅卯", [2, 4]),
        (["", ""], "你好", [0, 2]),
        (["今天好", "今天好", "今天好"], "今天好今天好今天好", [3, 6, 9]),
        (["今天", "今天好", "天好"], "今天好今天好今天好", [2, 6, 9]),
    ],
)
def test_where_pieces_end_in_a_text(written, text, ends):
    assert ends_in_text([[ord(c) for c in piece] for piece in written], [ord(c) for c in text]) == ends
