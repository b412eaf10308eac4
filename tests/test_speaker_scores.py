"""DER and cpCER: values by hand, properties, the forms of files, and what pyannote.metrics and meeteval compute."""

import json
import random
import warnings

import pytest

from asr.errors import ManifestError
from asr.scoring.cer import CharErrors
from asr.scoring.diarization import DiarizationErrors, SpokenTurn, diarization_errors
from asr.scoring.permutation import paired_errors
from asr.scoring.speakers import score_speakers
from asr.scoring.turns import read_turns
from tests.miniatures import text_grid


def turns(*spoken):
    return [SpokenTurn(*turn) for turn in spoken]


A_THEN_B = turns((0.0, 5.0, "A"), (5.5, 10.0, "B"))


def test_der_by_hand():
    """2's first second is A's, half a second of pause is 1's, and 3 is somebody too many."""
    named = turns((0.0, 4.0, "1"), (4.0, 10.0, "2"), (12.0, 13.0, "3"))
    errors = diarization_errors(A_THEN_B, named)
    assert errors == DiarizationErrors(missed=0.0, false_alarm=1.5, confusion=1.0, reference=9.5)
    assert errors.line() == "DER 26.32 % [ 0.00 missed, 15.79 false alarm, 10.53 confusion of 9.5 s ]"


def test_a_collar_leaves_out_what_is_near_the_borders_of_the_reference():
    named = turns((0.2, 5.2, "1"), (5.6, 9.0, "2"))
    assert diarization_errors(A_THEN_B, named, 0.25) == DiarizationErrors(0.75, 0.0, 0.0, pytest.approx(8.5))


def test_who_speaks_at_the_same_time_counts_each():
    said = turns((0.0, 4.0, "A"), (2.0, 4.0, "B"))
    assert diarization_errors(said, turns((0.0, 4.0, "1"))) == DiarizationErrors(2.0, 0.0, 0.0, 6.0)
    assert diarization_errors(said, said).total == 0


def test_empty_sides():
    assert diarization_errors([], []).der == 0
    assert diarization_errors([], A_THEN_B).der == float("inf")
    assert diarization_errors(A_THEN_B, []).der == 1


@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_a_turn_that_takes_no_time_is_none(collar):
    """As pyannote.metrics has it: no collar lies around it, neither does it change what is right."""
    nothing = turns((2.5, 2.5, "A"), (7.0, 7.0, "C"))
    named = turns((0.0, 3.0, "1"), (6.0, 9.0, "2"))
    expected = diarization_errors(A_THEN_B, named, collar)
    assert diarization_errors([*A_THEN_B, *nothing], [*named, *nothing], collar) == expected
    assert diarization_errors(nothing, [], collar).der == 0


def test_names_and_order_do_not_matter_and_half_turns_are_whole_ones():
    named = turns((5.5, 10.0, "x"), (2.5, 5.0, "y"), (0.0, 2.5, "y"), (1.0, 3.0, "y"))
    assert diarization_errors(A_THEN_B, named).total == 0


def conversation(chance, speakers, words="", least=1):
    """Turns of each speaker that do not overlap each other, those of different ones may."""
    found = []
    for speaker in range(chance.randint(least, speakers)):
        at = chance.uniform(0, 5)
        for _ in range(chance.randint(1, 8)):
            end = at + chance.uniform(0.2, 6)
            text = " ".join(chance.choices(words, k=chance.randint(1, 6))) if words else None
            found.append(SpokenTurn(round(at, 3), round(end, 3), f"s{speaker}", text))
            at = end + chance.choice([0.0, chance.uniform(0.05, 4)])
    return sorted(found, key=lambda turn: turn.start)


@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_der_is_that_of_pyannote_metrics(collar):
    core = pytest.importorskip("pyannote.core", reason="pyannote.metrics, of the extra `dev`, is not installed")
    metric = pytest.importorskip("pyannote.metrics.diarization").DiarizationErrorRate(collar=2 * collar)

    def annotation(spoken):
        made = core.Annotation()
        for n, turn in enumerate(spoken):
            made[core.Segment(turn.start, turn.end), n] = turn.speaker
        return made

    chance = random.Random(f"der {collar}")
    for _ in range(60):
        said, named = conversation(chance, 5), conversation(chance, 6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no list of what is scored
            theirs = metric(annotation(said), annotation(named), detailed=True)
        ours = diarization_errors(said, named, collar)
        assert ours.reference == pytest.approx(theirs["total"], abs=1e-6)
        assert ours.missed == pytest.approx(theirs["missed detection"], abs=1e-6)
        assert ours.false_alarm == pytest.approx(theirs["false alarm"], abs=1e-6)
        assert ours.confusion == pytest.approx(theirs["confusion"], abs=1e-6)


def test_cp_errors_by_hand():
    """Crossed names cost nothing; half of B's text is in C's, and what nobody said is inserted."""
    assert paired_errors({"A": "今天", "B": "好的"}, {"1": "好的", "2": "今天"}).errors == CharErrors(0, 0, 0, 4)
    paired = paired_errors({"A": "今天天气", "B": "好的"}, {"1": "今天天", "2": "好", "3": "的"})
    assert paired.errors == CharErrors(0, 2, 1, 6)
    assert set(paired.pairs) == {("A", "1"), ("B", "2"), (None, "3")}
    assert paired_errors({}, {"1": "好"}).errors == CharErrors(0, 0, 1, 0)
    assert paired_errors({}, {}).errors == CharErrors()


def test_cp_errors_are_those_of_meeteval():
    """On 300 random conversations: errors, and length; how errors are shared among S, D and I may differ where both are least."""
    meeteval = pytest.importorskip("meeteval", reason="the extra `meeteval` is not installed")
    chance = random.Random("cpcer")
    for _ in range(300):
        sides = [conversation(chance, most, "abcdef") for most in (5, 6)]

        def listed(spoken):
            return meeteval.io.SegLST(
                [
                    {"session_id": "m", "speaker": t.speaker, "start_time": t.start, "end_time": t.end, "words": t.text}
                    for t in spoken
                ]
            )

        theirs = meeteval.wer.cp_word_error_rate(*map(listed, sides))
        texts = [{}, {}]
        for side, spoken in zip(texts, sides, strict=True):
            for turn in spoken:
                side.setdefault(turn.speaker, []).extend(turn.text.split())
        ours = paired_errors(*texts).errors
        assert (ours.total, ours.reference) == (theirs.errors, theirs.length)


def test_a_text_grid_has_a_tier_for_each_speaker(tmp_path):
    """In Praat's long form and in its short one; beside an RTTM it says what is said, and that when, as in AISHELL-4."""
    tiers = {
        "001-M": [(0, 0.5, ""), (0.5, 1.25, '他说""好""'), (1.25, 2, "")],
        "002-F": [(0, 1.0, " "), (1.0, 2, "好的")],
    }
    text_grid(tmp_path / "long/m.TextGrid", tiers, 2.0)
    short = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "2", "<exists>", "2"]
    for name, intervals in tiers.items():
        short += ['"IntervalTier"', f'"{name}"', "0", "2", str(len(intervals))]
        short += [line for start, end, text in intervals for line in (str(start), str(end), f'"{text}"')]
    (tmp_path / "short").mkdir()
    (tmp_path / "short/m.TextGrid").write_text("\n".join(short), encoding="utf-8")
    wanted = turns((0.5, 1.25, "001-M", '他说"好"'), (1.0, 2.0, "002-F", "好的"))
    for form in ("long", "short"):
        assert read_turns(tmp_path / form)["m"].turns == wanted
    (tmp_path / "short/m.rttm").write_text("SPEAKER m 1 0.6 0.6 <NA> <NA> A <NA> <NA>\n", encoding="utf-8")
    both = read_turns(tmp_path / "short")["m"]
    assert both.turns == turns((0.6, 1.2, "A")) and both.spoken == wanted
    (tmp_path / "c.TextGrid").write_text("\n".join(short[:14]), encoding="utf-8")
    with pytest.raises(ManifestError, match="is no whole TextGrid"):
        read_turns(tmp_path / "c.TextGrid")


RTTM = """\
SPKR-INFO m1 1 <NA> <NA> <NA> unknown A <NA> <NA>
SPEAKER m1 1 0.00 5.00 <NA> <NA> A <NA> <NA>
SPEAKER m1 1 5.50 4.50 <NA> <NA> B <NA> <NA>
"""
STM = """\
;; a remark
m1 0 A 0.00 5.00 <o,f0> 今天 天气 很好
m1 0 B 5.50 10.00 是的
m1 0 B 20.00 30.00 IGNORE_TIME_SEGMENT_IN_SCORING
"""
CTM = "m1 A 0.00 5.00 今天天气很好\nm1 B 5.50 4.50 是的\n"
SPOKEN = [
    {"start": 0.0, "end": 5.0, "text": "今天天气很好", "speaker": "1"},
    {"start": 5.5, "end": 10.0, "text": "是的", "speaker": "2"},
]
TRANSCRIPT = {"audio": "calls/m1.wav", "text": "今天天气很好是的", "segments": SPOKEN}
MANIFEST = [
    {"id": f"u{n}", "audio": "m1.flac", "start": s["start"], "duration": s["end"] - s["start"], "text": s["text"]}
    | {"speaker": s["speaker"]}
    for n, s in enumerate(SPOKEN)
]
SEGLST = [
    {"session_id": "m1", "speaker": s["speaker"], "start_time": s["start"], "end_time": s["end"], "words": s["text"]}
    for s in SPOKEN
]
FORMS = {
    "a.rttm": RTTM,
    "a.stm": STM,
    "a.ctm": CTM,
    "a.json": json.dumps(TRANSCRIPT),
    "m1.json": json.dumps({"task": "transcribe", "segments": SPOKEN}, indent=1),
    "lines.jsonl": json.dumps(TRANSCRIPT) + "\n" + json.dumps(TRANSCRIPT | {"audio": "m2.wav"}),
    "manifest.jsonl": "\n".join(map(json.dumps, MANIFEST)),
    "seglst.json": json.dumps(SEGLST),
}


@pytest.fixture
def files(tmp_path):
    for name, text in FORMS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", FORMS)
def test_all_forms_say_the_same(files, name):
    score = score_speakers(files / "a.stm", files / name)
    assert score.exact == DiarizationErrors(0.0, 0.0, 0.0, 9.5)
    assert score.text == (None if name == "a.rttm" else CharErrors(0, 0, 0, 8))


def test_turns_go_before_segments_where_a_transcript_has_both(files):
    data = TRANSCRIPT | {"turns": [{"start": 0, "end": 6, "speaker": "1"}, {"start": 5.5, "end": 10, "speaker": "2"}]}
    (files / "b.json").write_text(json.dumps(data), encoding="utf-8")
    score = score_speakers(files / "a.stm", files / "b.json")
    assert score.exact == DiarizationErrors(0.0, 1.0, 0.0, 9.5) and score.text.total == 0


def test_channels_are_speakers_where_each_was_transcribed_for_itself(files):
    (files / "c.json").write_text(
        json.dumps(TRANSCRIPT | {"segments": [s | {"speaker": "", "channel": n} for n, s in enumerate(SPOKEN)]})
    )
    assert score_speakers(files / "a.stm", files / "c.json").exact.total == 0


def test_what_lies_where_nothing_is_scored_is_left_out(files):
    (files / "d.stm").write_text(STM.replace(" IGNORE_TIME_SEGMENT_IN_SCORING", " 多余"), encoding="utf-8")
    score = score_speakers(files / "a.stm", files / "d.stm")
    assert score.exact.total == 0 and score.text == CharErrors(0, 0, 0, 8)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "今天天气很好\n",
            "says nowhere who speaks when; give RTTM, STM, CTM, TextGrid, or JSON with speakers and times",
        ),
        ('{"audio": "m1.wav", "segments": [{"start": 0, "end": 1, "text": "好"}]}', "segment 1: has no speaker"),
        (
            '{"audio": "m1.wav", "start": "x", "duration": 1, "speaker": "A"}',
            "the start must be seconds, 0 or more, is",
        ),
        ('{"start": 0, "duration": 1, "speaker": "A"}', "names no recording"),
        ("SPEAKER m1 1 0.00 nan <NA> <NA> A <NA> <NA>\n", "a.txt:1: the duration must be seconds, 0 or more, is 'nan'"),
        ("\n\n", "holds nobody who speaks"),
        ("[1, 2]", "item 1: must be a JSON object, is 1"),
    ],
)
def test_refusals(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=message.replace("(", r"\(")):
        read_turns(tmp_path / "a.txt")


def test_recordings_are_matched_by_name_and_a_single_one_with_the_single_one(files):
    said = []
    assert list(score_speakers(files / "a.rttm", files / "lines.jsonl", say=said.append).recordings) == ["m1"]
    assert f"{files / 'lines.jsonl'}: 1 recordings have no reference and are left out: m2" in said
    (files / "other.rttm").write_text(RTTM.replace("m1", "talk"))
    assert score_speakers(files / "a.rttm", files / "other.rttm").exact.total == 0
    (files / "many.rttm").write_text(RTTM.replace("m1", "x") + RTTM.replace("m1", "y"))
    with pytest.raises(ManifestError, match="has no recording of the references; its first is 'x', there it is 'm1'"):
        score_speakers(files / "a.rttm", files / "many.rttm")
    missing = score_speakers(files / "lines.jsonl", files / "a.rttm")
    assert missing.recordings["m2"].exact.der == 1 and missing.exact.der == 0.5


def test_the_command(run, files, tmp_path):
    """RTTM says itself what it is for; the rest needs to be told."""
    status, out, _ = run("score", files / "a.rttm", files / "a.json")
    assert (status, out.splitlines()) == (
        0,
        [
            "DER 0.00 % [ 0.00 missed, 0.00 false alarm, 0.00 confusion of 9.5 s ]",
            "DER 0.00 % [ 0.00 missed, 0.00 false alarm, 0.00 confusion of 8.5 s ] with a collar of 0.25 s",
            "number of speakers right in 1 of 1 recordings",
        ],
    )
    wanted = tmp_path / "scores.json"
    status, out, _ = run(
        "score", files / "a.stm", files / "seglst.json", "--speakers", "--collar", 0, "--by", "recording"
    )
    assert out.splitlines()[1:] == [
        "cpCER 0.00 % [ 0 S, 0 D, 0 I / 8 ]",
        "number of speakers right in 1 of 1 recordings",
        "m1: DER 0.00 % [ 0.00 missed, 0.00 false alarm, 0.00 confusion of 9.5 s ]; cpCER 0.00 % [ 0 S, 0 D, 0 I / 8 ];"
        " 2 speakers for 2",
    ]
    status, out, _ = run("score", files / "a.stm", files / "a.ctm", files / "a.rttm", "--speakers", "--json", wanted)
    assert [line.split(":")[0] for line in out.splitlines()] == ["A a.ctm"] * 4 + ["B a.rttm"] * 3
    first = json.loads(wanted.read_text(encoding="utf-8"))["systems"][0]
    assert first["der"] == 0 and first["text"]["cpcer"] == 0 and first["recordings"]["m1"]["speakers"] == 2


def test_wrong_usage(run, files, tmp_path):
    status, _, err = run("score", files / "a.rttm", files / "a.json", "--html", tmp_path / "x.html")
    assert status == 2 and "is for texts; who said what is printed, and written by --json" in err
    status, _, err = run("score", files / "a.rttm", files / "a.json", "--by", "speaker")
    assert status == 2 and "who said what is known for each recording: --by recording" in err
    (files / "late.rttm").write_text(RTTM.replace("5.50 4.50", "6.50 4.50"))
    status, _, err = run("score", files / "a.rttm", files / "late.rttm", "--fail-above", 10)
    assert status == 1 and "DER 21.05 % is above 10 %" in err
