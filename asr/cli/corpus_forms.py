"""`asr corpus shard` and `asr corpus cuts`: the utterances of manifests in other forms."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import Force
from asr.errors import AsrError
from asr.language import say
from asr.places import require_file


def corpus_shard(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests; their utterances get into the same shards.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.jsonl, NAME-000000.tar, NAME-000001.tar …")],
    name: Annotated[str, typer.Option(help="NAME; that of the first manifest by default.")] = "",
    hours: Annotated[float, typer.Option(help="Audio in a shard: about 60 MB an hour as FLAC, 12 as Opus.")] = 1.0,
    codec: Annotated[str, typer.Option(help="flac or wav, which keep 16 bits of each sample, or opus.")] = "flac",
    seed: Annotated[int, typer.Option(help="Of the order inside the shards; a negative one keeps the manifests'.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out utterances whose audio cannot be read.")
    ] = False,
) -> None:
    """Put the audio of manifests into a few large tar files, and write the manifest that reads them.

    The manifest can be used wherever others can; webdataset and WeNet read the tar files. Audio is at 16 kHz, one channel. The
    same command goes on where it was interrupted. Recordings that cannot be read are listed, all of them; then the manifest is
    not written and the status is 1, unless --skip-broken leaves them out.
    """
    from asr.corpus.shards import Sharding, write_shards

    sharding = Sharding(hours, codec, seed if seed >= 0 else None, skip_broken)
    done = write_shards(manifests, out, sharding, name=name, jobs=jobs, progress=say)
    for line in done.broken:
        say(f"asr: {line}")
    if done.broken and not skip_broken:
        raise AsrError(
            f"{out}: {len(done.broken):,} recordings cannot be read, {done.manifest.name} was not written; correct the manifest,"
            " or leave them out with --skip-broken"
        )
    say(
        f"{done.manifest}: {done.utterances:,} utterances in {done.shards:,} shards; {len(done.broken):,} left out as broken"
    )


def corpus_cuts(
    manifest: Annotated[Path, typer.Argument(help="A manifest whose audio lies in files, not in shards.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file of cuts, such as cuts.jsonl.gz.")],
    force: Force = False,
) -> None:
    """Write a manifest as cuts of lhotse (extra corpora); asr corpus import reads them back."""
    from asr.corpus.lhotse_cuts import write_cuts
    from asr.corpus.manifest import read_manifest

    require_file(out, force, [manifest])
    say(f"{out}: {write_cuts(out, read_manifest(manifest)):,} cuts")
