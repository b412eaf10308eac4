"""Which track of sound of a film is read, where nobody says which: Mandarin, where a language is written down."""

import re
from collections.abc import Sequence

import av

from asr.audio.foreign import MOST_VALUES

CHINESE = frozenset(("zh", "zho", "chi", "cmn"))
"""How containers call the language (ISO 639); Cantonese has a name of its own, yue."""
MOST_TRACKS = 1000
"""Of which one is chosen."""
NAMED = 8
"""Languages that a message names at most."""


def chosen_track(tracks: Sequence[av.AudioStream]) -> int:
    """Of the tracks that can be decoded the first in Chinese, else the first that the film calls its default, else the first.

    0 where none can be decoded.
    """

    def rank(number: int) -> tuple[bool, bool]:
        track = tracks[number]
        return language_of(track) not in CHINESE, not track.disposition & av.stream.Disposition.default

    order = sorted(range(min(len(tracks), MOST_TRACKS)), key=rank)
    return next((number for number in order if is_decodable(tracks[number])), 0)


def language_of(track: av.AudioStream) -> str:
    """The language that is written down, without its region or script; empty where none is. Of zh-yue it is yue."""
    written = (track.metadata.get("language") or "").lower()
    name, *more = re.split("[-_]", written)
    if name in CHINESE and more and re.fullmatch("[a-z]{3}", more[0]):
        name = more[0]
    return name if re.fullmatch("[a-z]{2,3}", name) and name != "und" else ""


def which_is_read(tracks: Sequence[av.AudioStream], read: int) -> str:
    """What a user should know of several tracks, of which one was chosen."""
    names = [language_of(track) or "?" for track in tracks[:NAMED]]
    more = " …" if len(tracks) > NAMED else ""
    named = f" ({', '.join(names)}{more})" if any(name != "?" for name in names) else ""
    others = "the other" if len(tracks) == 2 else "another"
    return (
        f"has {len(tracks)} tracks of sound{named}, of which the {ordinal(read)} is read;"
        f" --track {1 if read == 0 else 0} reads {others}"
    )


def no_track(tracks: int, wanted: int) -> str:
    """Why a track cannot be read."""
    have = "1 track" if tracks == 1 else f"{tracks} tracks"
    return f"has {have} of sound, counted from 0; there is no track {wanted}"


def ordinal(number: int) -> str:
    """A number counted from 0 in words, as far as they are short."""
    return ("first", "second", "third", "fourth")[number] if number < 4 else f"{number + 1}th"


def is_decodable(stream: av.AudioStream) -> bool:
    """Whether its decoder opens."""
    context = stream.codec_context
    if context is None or not context.sample_rate:
        return False
    context.options = {"max_samples": str(MOST_VALUES)}
    try:
        context.open(strict=False)
    except Exception:  # whatever its decoder does not like
        return False
    return True


def is_unknown(stream: av.AudioStream) -> bool:
    """Whether a decoder is known for a track, but no packet of it came in what was looked at."""
    return stream.codec_context is not None and not stream.codec_context.sample_rate
