"""What two utterances share of a recording."""

from pathlib import Path

import pytest

from asr.corpus.manifest import Utterance
from asr.corpus.overlap import Recorded


def piece(start: float, duration: float, channel: int | None = None, audio: str = "a.wav") -> Utterance:
    return Utterance("u", Path(audio), duration, "你好", start, channel=channel)


TRAINED = Recorded([piece(0.0, 2.0), piece(10.0, 5.0, channel=0), piece(20.0, 30.0), piece(30.0, 1.0)])


@pytest.mark.parametrize(
    ("found", "start"),
    [
        (piece(0.0, 2.0), 0.0),
        (piece(1.5, 4.0), 0.0),
        (piece(1.95, 4.0), None),  # neighbours whose ends are rounded
        (piece(1.98, 0.02), 0.0),  # all of so short a piece
        (piece(2.0, 8.0), None),
        (piece(12.0, 1.0, channel=0), 10.0),
        (piece(12.0, 1.0), 10.0),  # all channels
        (piece(12.0, 1.0, channel=1), None),
        (piece(45.0, 1.0), 20.0),  # one that began long before, others after it
        (piece(60.0, 1.0), None),
        (piece(0.0, 2.0, audio="b.wav"), None),
    ],
)
def test_a_shared_piece_is_found(found, start):
    shared = TRAINED.sharing(found)
    assert (shared and shared.start) == start
