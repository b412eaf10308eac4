"""How alike two characters sound, from their readings."""

from functools import cache

from asr.text.pinyin import readings

SAME_SOUND, OTHER_TONE, NEAR = 0.0, 0.25, 0.4
"""What it costs that a character has another tone, or a sound that is easily taken for the other one."""
NEAR_INITIALS = ({"n", "l"}, {"z", "zh"}, {"c", "ch"}, {"s", "sh"}, {"f", "h"}, {"r", "l"})
NEAR_FINALS = (
    {"an", "ang"},
    {"en", "eng"},
    {"in", "ing"},
    {"ian", "iang"},
    {"uan", "uang"},
    {"un", "ong"},
    {"ui", "ei"},
)
"""Sounds that are taken for each other: in many accents they are one."""
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")


@cache
def sound_cost(heard: str, meant: str) -> float:
    """From 0 for homophones up; infinite for characters that sound unlike. Any reading of either counts."""
    if heard == meant:
        return 0.0
    return min(
        (_cost(a, b) for a in readings(heard) for b in readings(meant) if a[-1:].isdigit() and b[-1:].isdigit()),
        default=float("inf"),
    )


def _cost(a: str, b: str) -> float:
    tone = OTHER_TONE if a[-1] != b[-1] else SAME_SOUND
    if a[:-1] == b[:-1]:
        return tone
    (initial, final), (other_initial, other_final) = _parts(a[:-1]), _parts(b[:-1])
    near = 0
    for one, other, alike in ((initial, other_initial, NEAR_INITIALS), (final, other_final, NEAR_FINALS)):
        if one != other:
            if {one, other} not in alike:
                return float("inf")
            near += 1
    return tone + NEAR * near


def _parts(syllable: str) -> tuple[str, str]:
    """Initial and final; of yan, say, y and an."""
    initial = next((i for i in _INITIALS if syllable.startswith(i)), "")
    return initial, syllable[len(initial) :]
