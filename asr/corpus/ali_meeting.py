"""AliMeeting: headsets (near) and the first microphone of an array (far), each with splits of its own.

A headset's TextGrid has one talker, its wearer. The array hears all of them, so what its own TextGrid lacks of a meeting is taken
from the headsets': who is not in a reference would count as a false alarm, and all that they say as insertions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import soundfile

from asr.corpus.lhotse_recipes import read_with_lhotse
from asr.corpus.manifest import Utterance
from asr.errors import ManifestError
from asr.foreign_bytes import reading

LEAST = 0.01
"""Seconds of an utterance that the array must have recorded; clocks of the microphones differ a little."""


def read_ali_meeting(folder: Path) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Utterances by split (train_near, train_far, eval_near …), and what lhotse warned of."""
    found, warnings = {}, []
    for microphone in ("near", "far"):
        found[microphone], said = read_with_lhotse(
            "ali_meeting", "prepare_ali_meeting", folder, mic=microphone, normalize_text="m2met"
        )
        warnings += said
    for part, utterances in found["far"].items():
        utterances += _of_headsets_alone(found["near"].get(part, []), utterances, _arrays(folder, part, warnings))
    return {
        f"{part}_{kind}": utterances for kind, parts in found.items() for part, utterances in parts.items()
    }, warnings


def _arrays(folder: Path, part: str, warnings: list[str]) -> dict[str, Path]:
    """Meeting → the array's recording of it; one that cannot be read is none, and is warned of once.

    Eval and Test may lie in a folder of their own.
    """
    name = part.capitalize()
    patterns = (f"{name}_Ali_far/audio_dir/**/*.wav", f"{name}_Ali/{name}_Ali_far/audio_dir/**/*.wav")
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    found = {}
    for path in paths:
        try:
            _info(path.resolve())
            found[_meeting(path)] = path.resolve()
        except ManifestError as error:
            if not any(line.startswith(f"{path}: ") for line in warnings):
                warnings.insert(0, str(error))
    return found


def _meeting(path: Path) -> str:
    """R0003_M0046 of R0003_M0046_F_SPK0093.wav, a headset's recording, or of R0003_M0046_MS002.wav, an array's."""
    return "_".join(path.stem.split("_")[:2])


def _of_headsets_alone(
    near: Sequence[Utterance], far: Sequence[Utterance], arrays: dict[str, Path]
) -> Iterator[Utterance]:
    """What talkers of a meeting say who are in none of its array's utterances, as parts of the array's recording."""
    known = {(_meeting(utterance.audio), utterance.speaker) for utterance in far}
    for utterance in near:
        meeting = _meeting(utterance.audio)
        if (meeting, utterance.speaker) in known or meeting not in arrays:
            continue
        info = _info(arrays[meeting])
        duration = min(utterance.duration, info.duration - utterance.start)
        if duration >= LEAST:
            yield replace(
                utterance,
                id=utterance.id.replace(utterance.audio.stem, meeting, 1),
                audio=arrays[meeting],
                duration=duration,
                channel=0 if info.channels > 1 else None,
            )


@cache
def _info(path: Path):
    """Length and channels of a recording, of which many utterances ask."""
    with reading(path, ManifestError, "cannot be read as audio", "copy it again"):
        return soundfile.info(path)
