"""Cuts of lhotse as manifests, and manifests as cuts; also those of its shar, whose recordings lie in tar files as in our shards.

lhotse is optional (the extra `corpora`); nothing else here needs it.
"""

import gzip
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from asr.corpus.manifest import MEMBER, OPTIONAL_TYPES, REQUIRED, Member, Utterance
from asr.errors import AsrError, AudioError, ManifestError
from asr.extras import brings
from asr.files import atomic_write
from asr.foreign_bytes import quoted, reading, reason

KINDS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")
"""What lhotse calls its cuts."""
IN_SHAR = re.compile(r"cuts\.(\d+)\.jsonl(\.gz)?")
"""Files of a shar that hold cuts, and the number of their shard."""
RECORDINGS = "recording.{}.tar"
"""Where the audio of such a file lies."""


def is_cuts(path: Path) -> bool:
    """Whether a path is the folder of a shar, or a file whose first line is a cut."""
    if path.is_dir():
        return any(IN_SHAR.fullmatch(file.name) for file in path.iterdir())
    with suppress(Exception), (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        first = json.loads(file.readline(1 << 20))
        return isinstance(first, dict) and first.get("type") in KINDS
    return False


def read_cuts(path: str | Path, audio_root: str | Path = "") -> Iterator[Utterance]:
    """The utterances of a file of cuts, or of the folder of a shar: one for each supervision, or for a cut that has none.

    `audio_root`: what relative paths of recordings are relative to; without it, the current folder. Raises ManifestError for a
    cut whose audio is mixed, padded or changed by lhotse as it is read, or lies in no file.
    """
    path = Path(path)
    files = sorted(file for file in path.iterdir() if IN_SHAR.fullmatch(file.name)) if path.is_dir() else [path]
    for file in files:
        members = _members(file)
        for number, cut in enumerate(_cuts(file), 1):
            yield from _utterances(cut, members, Path(audio_root), f"{file}:{number}")


def _lhotse() -> Any:
    try:
        import lhotse
    except ImportError as error:
        raise AsrError(
            f"cuts are read and written by lhotse, which is not there ({error}): {brings('corpora')}"
        ) from None
    return lhotse


def _cuts(file: Path) -> Iterator[Any]:
    lhotse = _lhotse()
    with reading(file, ManifestError, "holds no cuts that lhotse can read"):
        yield from lhotse.CutSet.from_file(file)


def _members(file: Path) -> dict[str, tuple[Path, Member]]:
    """The recordings beside a file of a shar: ids of their cuts, and where they lie; none beside any other file."""
    match = IN_SHAR.fullmatch(file.name)
    tar = match and file.with_name(RECORDINGS.format(match[1]))
    if not tar or not tar.exists():
        return {}
    with reading(tar, ManifestError, "is no tar file of a shar"), tarfile.open(tar, "r:") as members:
        return {
            member.name.removesuffix(Path(member.name).suffix): (tar.resolve(), Member(member.offset_data, member.size))
            for member in members
            if member.size and Path(member.name).suffix != ".json"
        }


def _utterances(cut: Any, members: dict[str, tuple[Path, Member]], root: Path, where: str) -> Iterator[Utterance]:
    kind, recording = type(cut).__name__, getattr(cut, "recording", None)
    if kind not in KINDS[:2] or recording is None:
        raise ManifestError(
            f"{where}: cut {quoted(cut.id)} ({kind}) is no part of one recording; only such cuts are read"
        )
    if recording.transforms:
        raise ManifestError(
            f"{where}: lhotse changes the audio of cut {quoted(cut.id)} as it reads it; write it first (CutSet.save_audios)"
        )
    source, member, begin = recording.sources[0], None, cut.start
    if cut.id in members:  # alone in the tar file, from its first sample on
        (audio, member), begin = members[cut.id], 0.0
    elif source.type == "file":
        audio = (root / source.source).resolve()
    else:
        raise ManifestError(
            f"{where}: the recording of cut {quoted(cut.id)} lies in no file but in {quoted(source.type)}"
        )
    several = recording.num_channels > 1 and not (member and kind == "MonoCut")
    for said in cut.supervisions or [None]:
        start, end = (0.0, cut.duration) if said is None else (max(0.0, said.start), min(cut.duration, said.end))
        channel = cut.channel if said is None else said.channel
        id = cut.id if len(cut.supervisions) < 2 else said.id
        yield Utterance(
            "_".join(id.split()),
            audio,
            round(end - start, 6),
            (said and said.text) or "",
            round(begin + start, 6),
            str((said and said.speaker) or ""),
            channel=(min(channel) if isinstance(channel, list) else channel) if several else None,
            extra=_extra(said),
            where=where,
            member=member,
        )


def _extra(said: Any) -> dict:
    """What else a supervision says, as far as a manifest has room for it: plain values."""
    if said is None:
        return {}
    fields = {"gender": said.gender, "language": said.language} | (said.custom or {})
    ours = {*REQUIRED, *OPTIONAL_TYPES, *MEMBER} - {"source"}
    return {name: v for name, v in fields.items() if name not in ours and isinstance(v, str | int | float | bool)}


def write_cuts(path: str | Path, utterances: Iterable[Utterance]) -> int:
    """Writes utterances as cuts, a JSON line each, compressed where the name ends in .gz; returns how many.

    Raises AudioError for a recording that lhotse cannot read, and ManifestError for one in a shard: lhotse reads no part of a
    tar file.
    """
    path, lhotse = Path(path), _lhotse()
    recordings: dict[Path, Any] = {}
    n = 0
    with (
        atomic_write(path, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) if path.suffix == ".gz" else nullcontext(raw) as file,
    ):
        for u in utterances:
            if u.audio not in recordings:
                recordings[u.audio] = _recording(lhotse, u)
            line = json.dumps(_cut(lhotse, u, recordings[u.audio]).to_dict(), ensure_ascii=False)
            file.write(f"{line}\n".encode())
            n += 1
    return n


def _recording(lhotse: Any, u: Utterance) -> Any:
    if u.member:
        raise ManifestError(
            f"{u.where}: {u.audio.name} is a shard, of which lhotse reads no part; take the manifest it was made of"
        )
    try:
        return lhotse.Recording.from_file(u.audio, recording_id="-".join(u.audio.with_suffix("").parts[-2:]))
    except Exception as error:  # whatever its backends meet
        raise AudioError(f"{u.where}: {u.audio}: lhotse cannot read it ({reason(error)}) ({u.id})") from error


def _cut(lhotse: Any, u: Utterance, recording: Any) -> Any:
    """A cut with one supervision. Channels that we average are all in it."""
    seconds = min(u.duration, recording.duration - u.start)
    averaged = u.channel is None and recording.num_channels > 1
    channel = recording.channel_ids if averaged else u.channel or 0
    custom = u.extra | ({"source": u.source} if u.source else {})
    gender, language = custom.pop("gender", None), custom.pop("language", "Chinese")
    said = lhotse.SupervisionSegment(
        u.id,
        recording.id,
        0.0,
        seconds,
        channel,
        text=u.text,
        language=language,
        speaker=u.speaker or None,
        gender=gender,
        custom=custom or None,
    )
    kind = lhotse.MultiCut if averaged else lhotse.MonoCut
    return kind(u.id, u.start, seconds, channel, [said], recording=recording)
