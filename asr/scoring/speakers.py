"""Who said what, scored: DER without and with a collar, cpCER where there are texts, and how many speakers were found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from asr.errors import ConfigError, ManifestError
from asr.files import save_json
from asr.foreign_bytes import listed
from asr.scoring.cer import UNITS, CharErrors, scoring_rules
from asr.scoring.diarization import DiarizationErrors, diarization_errors
from asr.scoring.normalizing import Normalizer, both, dropped_note, hints
from asr.scoring.permutation import paired_errors
from asr.scoring.results import numbers, rate
from asr.scoring.turns import Conversation, Conversations, read_turns

COLLAR = 0.25
"""Seconds on each side of a border, as md-eval and most papers have it."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class RecordingScore:
    """One recording."""

    exact: DiarizationErrors
    """Without a collar."""
    collared: DiarizationErrors
    """With the collar."""
    text: CharErrors | None
    """The errors that cpCER counts; None where a side has no text."""
    speakers: int
    """Speakers in the reference."""
    found: int
    """Speakers in the hypothesis."""
    pairs: tuple[tuple[str | None, str | None], ...] = ()
    """How cpCER pairs the speakers of the reference with those of the hypothesis."""


@dataclass(frozen=True)
class SpeakerScore:
    """A system on all recordings."""

    name: str
    """The file of the hypotheses."""
    recordings: Mapping[str, RecordingScore]
    """By their names, in the order of the references."""
    collar: float
    """Seconds."""
    unit: str = "char"
    """What cpCER counts: a key of UNITS."""

    @cached_property
    def exact(self) -> DiarizationErrors:
        """Without a collar: sums over all recordings."""
        return sum((one.exact for one in self.recordings.values()), DiarizationErrors())

    @cached_property
    def collared(self) -> DiarizationErrors:
        """With the collar: sums over all recordings."""
        return sum((one.collared for one in self.recordings.values()), DiarizationErrors())

    @cached_property
    def text(self) -> CharErrors | None:
        """What cpCER counts, over all recordings; None where a side has no text."""
        texts = [one.text for one in self.recordings.values() if one.text is not None]
        return sum(texts, CharErrors()) if texts else None

    @property
    def rate_name(self) -> str:
        """cpCER, or cpMER for mixed units."""
        return f"cp{UNITS[self.unit]}"

    def lines(self) -> list[str]:
        """The score in words."""
        counted = sum(one.speakers == one.found for one in self.recordings.values())
        lines = [self.exact.line()]
        if self.collar:
            lines.append(f"{self.collared.line()} with a collar of {self.collar:g} s")
        if self.text is not None:
            lines.append(self.text.line(self.rate_name))
        return [*lines, f"number of speakers right in {counted:,} of {len(self.recordings):,} recordings"]

    def recording_lines(self) -> list[str]:
        """A line for each recording."""
        return [
            f"{name}: {one.exact.line()}"
            + (f"; {one.text.line(self.rate_name)}" if one.text is not None else "")
            + f"; {one.found} speakers for {one.speakers}"
            for name, one in self.recordings.items()
        ]

    def to_json(self) -> dict:
        """Plain values."""
        return {
            "name": self.name,
            "collar": self.collar,
            **_values(self.exact, self.collared, self.text),
            "recordings": {
                name: _values(one.exact, one.collared, one.text)
                | {"speakers": one.speakers, "found": one.found, "pairs": one.pairs}
                for name, one in self.recordings.items()
            },
        }


def score_speakers(
    reference: str | Path,
    hypothesis: str | Path,
    unit: str = "char",
    rules: str | Sequence[str] | None = None,
    *,
    collar: float = COLLAR,
    say: Say = lambda line: None,
) -> SpeakerScore:
    """DER and cpCER of a file against another, or of folders of files: RTTM, STM, CTM or JSON.

    `unit` and `rules` are those of score_files. Recordings without hypothesis count as missed, ones without reference are left
    out; both are told to `say`. Raises ManifestError where a file cannot be read, or no recording is in both.
    """
    if not 0 <= collar <= 10:
        raise ConfigError(f"a collar must be from 0 to 10 s, is {collar:g}")
    chosen = scoring_rules(rules, unit)
    sides = [read_turns(path) for path in (reference, hypothesis)]
    for path, side in zip((reference, hypothesis), sides, strict=True):
        turns = [turn for conversation in side.values() for turn in conversation.turns]
        say(f"{path}: {len(side):,} recordings, {len(turns):,} turns of {_speakers(side):,} speakers")
    said, found = sides[0], _matched(*sides, hypothesis)
    for names, what in (
        ([name for name in said if name not in found], "are missing and count as missed"),
        ([name for name in found if name not in said], "have no reference and are left out"),
    ):
        if names:
            say(f"{hypothesis}: {len(names):,} recordings {what}: {listed(names)}")
    with_text = all(any(conversation.tells_texts for conversation in side.values()) for side in sides)
    left, right = Normalizer(chosen, unit), Normalizer(chosen, unit)
    recordings = {}
    for name, conversation in said.items():
        other = found.get(name, Conversation())
        text, pairs = None, ()
        if with_text:
            paired = paired_errors(_texts(conversation, left), _texts(_heeded(other, conversation), right))
            text, pairs = paired.errors, paired.pairs
        exact, collared = (
            diarization_errors(conversation.turns, other.turns, width, conversation.ignored) for width in (0.0, collar)
        )
        n, m = (len({turn.speaker for turn in side.turns if turn.end > turn.start}) for side in (conversation, other))
        recordings[name] = RecordingScore(exact, collared, text, n, m, pairs)
    if with_text:
        say(f"normalised by {', '.join(chosen) or 'no rule'}")
        for note in (dropped_note(both(left.dropped, right.dropped)), *hints(left, right)):
            if note:
                say(note)
    return SpeakerScore(str(hypothesis), recordings, collar, unit)


def write_speaker_scores(path: str | Path, scores: Sequence[SpeakerScore]) -> None:
    """Everything as one JSON object."""
    save_json(path, {"systems": [score.to_json() for score in scores]}, indent=1)


def _matched(said: Conversations, found: Conversations, path: str | Path) -> Conversations:
    """Hypotheses under the names of the references: a single recording is the other single one, whatever it is called."""
    if said.keys() & found.keys():
        return found
    if len(said) == len(found) == 1:
        return dict(zip(said, found.values(), strict=True))
    raise ManifestError(
        f"{path}: has no recording of the references; its first is {next(iter(found))!r}, there it is {next(iter(said))!r}"
    )


def _speakers(side: Conversations) -> int:
    """Speakers of all recordings; the same name in two recordings is one."""
    return len({turn.speaker for conversation in side.values() for turn in conversation.turns})


def _heeded(found: Conversation, said: Conversation) -> Conversation:
    """A hypothesis without what lies, by its middle, where nothing is scored."""
    kept = [turn for turn in found.spoken if not any(a <= (turn.start + turn.end) / 2 < b for a, b in said.ignored)]
    return Conversation(kept)


def _texts(conversation: Conversation, normalizer: Normalizer) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for turn in conversation.spoken:
        texts.setdefault(turn.speaker, []).extend(normalizer.units(turn.text or ""))
    return texts


def _values(exact: DiarizationErrors, collared: DiarizationErrors, text: CharErrors | None) -> dict:
    return {
        "der": rate(exact.der),
        **_seconds(exact),
        "with_collar": {"der": rate(collared.der), **_seconds(collared)},
        "text": None if text is None else {"cpcer": rate(text.cer), **numbers(text)},
    }


def _seconds(errors: DiarizationErrors) -> dict[str, float]:
    """To the microsecond, without what sums of floats leave behind."""
    return {name: round(seconds, 6) for name, seconds in asdict(errors).items()}
