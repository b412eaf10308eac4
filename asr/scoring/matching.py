"""Ids of two files that mean the same utterances, though one writes them another way."""

from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

from asr.scoring.documents import without_audio_suffix


def shared_names(references: Collection[str], hypotheses: Collection[str]) -> tuple[dict[str, str], str]:
    """Id of a hypothesis → that of its reference, and how they were matched, in words; no words where ids agree as they are.

    Only where no id at all is in both, and no two ids of a file would become one. Example: `/data/wav/a.wav` is `a`, and
    `S1-a`, as ESPnet's trn has it, too.
    """
    if not set(references).isdisjoint(hypotheses):
        return {}, ""
    for simplified, how in _WAYS:
        known, found = ({simplified(id): id for id in side} for side in (references, hypotheses))
        if len(known) == len(references) and len(found) == len(hypotheses) and known.keys() & found.keys():
            return {id: known.get(name, id) for name, id in found.items()}, how
    for longer, shorter, turned in ((hypotheses, references, False), (references, hypotheses, True)):
        ids = {_file_name(id): id for id in shorter}
        pairs = dict(_with_speaker(longer, ids))
        if pairs and len(ids) == len(shorter) and len(set(pairs.values())) == len(pairs):
            found = {
                (ids[short] if turned else long): (long if turned else ids[short]) for long, short in pairs.items()
            }
            return {id: found.get(id, id) for id in hypotheses}, "without the speaker before a dash, as in ESPnet's trn"
    return {}, ""


def _file_name(id: str) -> str:
    return without_audio_suffix(PurePosixPath(id).name) or id


def _folded(id: str) -> str:
    return _file_name(id).casefold()


_WAYS: tuple[tuple[Callable[[str], str], str], ...] = (
    (_file_name, "without folders and endings of audio files"),
    (_folded, "without folders, endings of audio files and capitals"),
)


def _with_speaker(longer: Collection[str], shorter: Collection[str]) -> Iterator[tuple[str, str]]:
    """(speaker-utterance, utterance) of ids that end with a shorter one."""
    for id in longer:
        name = _file_name(id)
        places = (place + 1 for place, c in enumerate(name) if c == "-")
        if short := next((name[place:] for place in places if name[place:] in shorter), ""):
            yield id, short
