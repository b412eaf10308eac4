"""`asr evaluate --speakers`."""

from pathlib import Path

import typer

from asr.cli.options import say, speakers_of
from asr.launcher import rank


def evaluate_speakers(
    decoding, manifest: Path, speakers: str, *, out: Path | None, by: list[str], collar: float, force: bool
) -> None:
    """Prints who said what of a manifest's recordings; the status is 1 where some could not be transcribed."""
    if set(by) - {"recording"}:
        raise typer.BadParameter("who said what is known for each recording: --by recording", param_hint="--by")
    wanted = speakers_of(speakers, None, "", False)
    from asr.evaluation.meetings import evaluate_meetings

    found = evaluate_meetings(decoding, manifest, speakers=wanted, out=out, collar=collar, force=force, say=say)
    if rank() == 0:  # the first process says it for all
        for line in [*found.score.lines(), *(found.score.recording_lines() if by else [])]:
            print(line)
    if found.failed:
        say(f"asr: {found.failed:,} recordings could not be transcribed; what is said in them counts as missed")
    raise typer.Exit(1 if found.failed else 0)
