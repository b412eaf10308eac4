"""Transcripts that nobody said."""

import random

import pytest

from asr.text.units import units
from asr.text.words import knows_words
from asr.transcript import Segment, Transcript, TranscriptToken

needs_jieba = pytest.mark.skipif(not knows_words(), reason="needs the extra `text`")


def spoken(
    text: str, start: float = 0.0, each: float = 0.2, pauses: dict[int, float] | None = None, **fields
) -> Segment:
    """A segment in which each token takes `each` seconds; pauses: token → seconds of pause before it."""
    tokens, at = [], start
    for i, unit in enumerate(units(text)):
        at += (pauses or {}).get(i, 0.0)
        tokens.append(TranscriptToken(unit.text, round(at, 3), round(at + each, 3), 0.9, (i, i), unit.mark))
        at += each
    return Segment(start, round(at, 3), tuple(tokens), text, -0.5, **fields)


def transcript(*segments: Segment, duration: float | None = None, audio: str = "talk.wav") -> Transcript:
    duration = duration if duration is not None else max([s.end for s in segments], default=0.0)
    return Transcript(audio, duration, segments, "m", (), {"beam": 4})


def speech(seed: int) -> Transcript:
    """Some minutes with Latin words, marks, pauses, two segments or many, now and then very fast."""
    chance = random.Random(seed)
    segments, at = [], chance.uniform(0, 2)
    for _ in range(chance.randint(1, 6)):
        words = []
        for _ in range(chance.randint(1, 60)):
            words.append(
                chance.choice("的一是在不了有和人这")
                if chance.random() < 0.9
                else chance.choice([" HELLO ", "A ", "INTERNATIONALIZATION "])
            )
            words.append(chance.choice("，。？") if chance.random() < 0.05 else "")
        text = "".join(words)
        n = len(list(units(text)))
        pauses = {i: chance.uniform(0, 1.5) for i in range(n) if chance.random() < 0.15}
        segment = spoken(text, round(at, 3), chance.choice([0.03, 0.1, 0.2, 0.4]), pauses)
        segments.append(segment)
        at = segment.end + chance.choice([0, 0.3, 5])
    return transcript(*segments, duration=at + 1)
