"""`asr evaluate --speakers`: whole recordings of a manifest are transcribed, and scored by who said what: DER and cpCER.

What the manifest says of utterances (who, from when to when, what) is the reference; nobody cuts them out for the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.catalogue.finding import find_model, results_folder
from asr.catalogue.opening import Decoding
from asr.corpus.manifest import Utterance
from asr.corpus.texts import read_references
from asr.errors import AsrError, AudioError, ManifestError
from asr.files import save_json
from asr.foreign_bytes import listed
from asr.places import require_file
from asr.scoring.speakers import COLLAR, SpeakerScore, score_speakers
from asr.speakers.wanted import Speakers, Wanted, speakers_wanted
from asr.transcription.made_with import made_with
from asr.transcription.many_files import transcribe_files
from asr.transcription.output import Output
from asr.transcription.results import Results
from asr.transcription.sharing import Shares
from asr.transcription.transcriber import load_decoding

RESULT, TRANSCRIPTS = "result.json", "transcripts"
"""Written last; and a folder with the transcript of each recording, as json."""


@dataclass(frozen=True)
class MeetingEvaluation:
    """What a model made of whole recordings, scored, and written into a folder."""

    score: SpeakerScore
    """DER without and with a collar, and cpCER; its `lines()` and `recording_lines()` are what is printed."""
    folder: Path
    """Where transcripts and result.json lie."""
    failed: int
    """Recordings that could not be transcribed: all that is said in them counts as missed."""


def evaluate_meetings(
    decoding: Decoding | str | Path,
    manifest: str | Path,
    *,
    speakers: Wanted = True,
    out: str | Path | None = None,
    collar: float = COLLAR,
    force: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> MeetingEvaluation:
    """Transcribes the recordings that a manifest's utterances lie in, and scores who said what. Interrupted, it goes on.

    decoding: which model, and how. speakers: how many there are, as `asr transcribe --speakers` takes it. `out`: a folder, by
    default one in the model's. collar: seconds on each side of a border that the second DER leaves out. Processes started by
    torchrun share the recordings. Raises AsrError where nothing can be transcribed, or `out` holds results already.
    """
    decoding = decoding if isinstance(decoding, Decoding) else Decoding(decoding)
    manifest, wanted = Path(manifest), speakers_wanted(speakers) or Speakers()
    out = Path(out) if out else results_folder(find_model(decoding.model)) / f"{manifest.stem}-speakers"
    if (out / RESULT).exists() and not force:
        raise AsrError(f"{out}: holds results already; choose another --out, or --force to overwrite them")
    require_file(out / RESULT, force=True)
    recordings = _recordings(manifest, read_references(manifest))
    shares = Shares()
    say(f"{manifest}: {len(recordings):,} recordings")
    failed = transcribe_files(
        recordings,
        lambda: load_decoding(decoding).telling_speakers(wanted),
        Results([Output("json")], out / TRANSCRIPTS, force=force),
        say=say,
        made_with=lambda: made_with(decoding, {}, speakers=wanted),
    )
    if failed == len(recordings):
        raise AudioError(f"{manifest}: none of its recordings can be transcribed")
    first = shares.rank == 0
    score = score_speakers(manifest, out / TRANSCRIPTS, collar=collar, say=say if first else lambda line: None)
    evaluation = MeetingEvaluation(score, out, failed)
    if first:
        _write(evaluation, decoding, manifest, wanted)
    return evaluation


def _recordings(manifest: Path, utterances: Sequence[Utterance]) -> list[str]:
    """The files that utterances lie in. Raises ManifestError where it is not told who speaks, or files have one name."""
    if nameless := [u.id for u in utterances if not u.speaker]:
        raise ManifestError(f"{manifest}: {len(nameless):,} utterances name no speaker: {listed(nameless)}")
    if packed := [u.id for u in utterances if u.member]:
        raise ManifestError(f"{manifest}: its utterances were cut out of their recordings: {listed(packed)}")
    files: dict[str, Path] = {}
    for path in dict.fromkeys(u.audio for u in utterances):
        if (other := files.setdefault(path.stem, path)) != path:
            raise ManifestError(f"{manifest}: two recordings have one name: {other}, {path}")
    return [str(path) for path in files.values()]


def _write(evaluation: MeetingEvaluation, decoding: Decoding, manifest: Path, wanted: Speakers) -> None:
    settings = {"model": str(decoding.model), "manifest": str(manifest), **made_with(decoding, {}, speakers=wanted)}
    found = evaluation.score.to_json() | {"failed": evaluation.failed, "settings": settings}
    save_json(evaluation.folder / RESULT, found)
