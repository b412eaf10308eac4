"""The score as one HTML page that needs nothing else: no network, no other file but the audio it may link to."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from asr.files import write_file
from asr.outputs.pages import page_of
from asr.printable import readable_path
from asr.scoring.cer import in_runs
from asr.scoring.compare import Comparison
from asr.scoring.results import summary
from asr.scoring.score import Score, UtteranceScore

_PAGE = Path(__file__).parent / "page"


def write_report(
    path: str | Path,
    scores: Sequence[Score],
    comparison: Comparison | None = None,
    reference: str | Path = "",
) -> None:
    """Writes the page. Audio paths are relative to the folder of `reference`, as in a manifest."""
    page, root = Path(path), Path(reference).parent
    data = summary(scores, comparison)
    data["reference"] = readable_path(reference)
    data["speakers"] = sorted({u.value("speaker") for u in scores[0].utterances} - {""})
    joint = data["joint"] = " " if scores[0].unit == "mixed" else ""
    places = {name: number for number, name in enumerate(data["speakers"])}
    data["list"] = [
        [us[0].id, places.get(us[0].value("speaker"), -1), _audio(us[0], root, page), [_aligned(u, joint) for u in us]]
        for us in zip(*(score.utterances for score in scores), strict=True)
    ]
    write_file(page, page_of(_PAGE, data))


def _aligned(utterance: UtteranceScore, joint: str) -> list:
    """[S, D, I, N, parts]."""
    e = utterance.errors
    return [e.substitutions, e.deletions, e.insertions, e.reference, in_runs(utterance.pairs, joint)]


def _audio(utterance: UtteranceScore, root: Path, page: Path) -> str:
    """Link from the page to the utterance's audio, with its part of the file; empty where none is given."""
    audio = utterance.fields.get("audio")
    if not isinstance(audio, str) or not audio:
        return ""
    if "://" in audio:
        return audio
    link = quote(Path(os.path.relpath((root / audio).resolve(), page.resolve().parent)).as_posix())
    try:
        start, duration = float(utterance.fields["start"]), float(utterance.fields["duration"])
    except (KeyError, TypeError, ValueError):
        return link
    return f"{link}#t={start:g},{start + duration:g}"
