"""`asr evaluate`, `asr tune` and `asr benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import (
    Beam,
    Collar,
    CorrectNames,
    Decode,
    Device,
    Force,
    HotwordFile,
    LanguageModel,
    Model,
    Quantize,
    Threads,
    decoding_of,
    require_own,
    require_recordings,
    set_threads,
    speakers_of,
)
from asr.errors import AudioError
from asr.language import say
from asr.launcher import rank

NAMED = 20
"""Utterances without audio that are named at the terminal; result.json names all."""


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model folder, the folder of a training run, or a name of `asr model list`.")
    ],
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest with transcripts.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where hyp.txt, nbest.jsonl, result.json and report.html go; MODEL/eval/MANIFEST by default, or"
            " eval/MODEL/MANIFEST for a model that has a name; of --speakers transcripts and result.json, MANIFEST-speakers.",
        ),
    ] = None,
    by: Annotated[
        list[str], typer.Option(help="Also a CER for each value of this field (speaker, source, …); may be repeated.")
    ] = [],  # noqa: B006
    beam: Beam = None,
    nbest: Annotated[
        int | None, typer.Option(min=1, help="Hypotheses written per utterance; the model's own, or 1.")
    ] = None,
    swap_audio: Annotated[
        bool,
        typer.Option(
            "--swap-audio", help="Give each utterance another one's audio: a model that listens must get worse."
        ),
    ] = False,
    speakers: Annotated[
        str,
        typer.Option(
            metavar="[N|N-M]",
            show_default=False,
            help="Transcribe the whole recordings that the utterances lie in, of any number of people, 2, or 2-5, and print who"
            " said what: DER without and with a collar, cpCER. --by recording: of each.",
        ),
    ] = "",
    collar: Collar = 0.25,
    hotwords: HotwordFile = None,
    correct_names: CorrectNames = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
    force: Force = False,
) -> None:
    """Decode a manifest and print its CER, or of --speakers who said what. Interrupted, the same command goes on.

    Utterances that cannot be read are listed and count as nothing recognised; then the status is 1. Processes started by
    `torchrun --nproc-per-node N -m asr evaluate` share the utterances.
    """
    set_threads(threads)
    from asr.evaluation.evaluate import RESULT
    from asr.evaluation.evaluate import evaluate as run

    decoding = decoding_of(
        model, decode, lm, hotwords, device, quantize, beam=beam, nbest=nbest, correct_names=correct_names
    )
    if speakers:
        if (nbest or 1) > 1 or swap_audio:
            option = "--swap-audio" if swap_audio else "--nbest"
            raise typer.BadParameter("is for utterances, not for --speakers", param_hint=option)
        _evaluate_speakers(decoding, manifest, speakers, out=out, by=by, collar=collar, force=force)
        return
    found = run(decoding, manifest, out=out, by=by, swap_audio=swap_audio, force=force, say=say)
    if rank():  # the first process says it for all
        raise typer.Exit(1 if found.unreadable else 0)
    for line in found.lines():
        print(line)
    errors = list(found.unreadable.values())
    for error in errors[:NAMED]:
        say(f"asr: {error}")
    if errors:
        more = f"; {found.folder / RESULT} names all" if len(errors) > NAMED else ""
        raise AudioError(
            f"{len(errors):,} of {len(found.score.utterances):,} utterances could not be read,"
            f" and count as nothing recognised{more}"
        )


def tune(
    model: Annotated[Path, typer.Argument(help="A model folder, or the folder of a training run.")],
    manifest: Annotated[Path, typer.Argument(help="A JSONL manifest with transcripts, none of which is a test set's.")],
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Choose decoding settings on a dev set, and save them in the model's folder, where they hold from then on.

    Tried one after the other: weights of the CTC head and of the language model, length norm and bonus, beam. Settings
    given with --decode stay as they are; a language model given with --lm becomes the model's own. Where all of it is
    worse than the model was, nothing is saved.
    """
    require_own(model)
    set_threads(threads)
    from asr.catalogue.decode_settings import not_default
    from asr.evaluation.tune import tune as run

    settings, errors = run(decoding_of(model, decode, lm, None, device, quantize), manifest, say=say)
    chosen = ", ".join(f"{name} {value}" for name, value in not_default(settings).items())
    print(f"{errors}: {chosen or 'the defaults'}")


def benchmark(
    audio: Annotated[list[Path], typer.Argument(help="Recordings to decode, of at most half a minute each.")],
    model: Model = "",
    beam: Beam = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that everything is decoded.")] = 3,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Time the encoder and the search on this machine: RTF, tokens per second, memory, share of the machine's peak."""
    set_threads(threads)
    from asr.audio.reading import SAMPLE_RATE, read_samples
    from asr.evaluation.benchmark import LONGEST_TIMED
    from asr.evaluation.benchmark import benchmark as run

    samples = [read_samples(path) for path in audio]
    for path, heard in zip(audio, samples, strict=True):
        if not len(heard):
            raise AudioError(f"{path}: holds no sound to decode; leave it out")
        if len(heard) > (LONGEST_TIMED + 1) * SAMPLE_RATE:
            seconds = len(heard) / SAMPLE_RATE
            raise AudioError(
                f"{path}: is {seconds:.1f} s long, more than {LONGEST_TIMED} s are not decoded at once; cut it"
            )
    import torch

    found = run(decoding_of(model, decode, lm, None, device, quantize, beam=beam), samples, rounds=rounds)
    together = found.encoder + found.search
    print(f"model     {found.model}, beam {found.beam}, quantize {quantize}, {torch.get_num_threads()} threads")
    print(f"audio     {found.recordings} recordings, {found.seconds:.1f} s, {rounds} rounds, medians")
    print(f"encoder   {found.encoder:.3f} s, RTF {found.encoder / found.seconds:.5f}")
    print(
        f"search    {found.search:.3f} s, RTF {found.search / found.seconds:.5f},"
        f" {found.tokens / found.search:.0f} tokens per second"
    )
    print(f"together  {together:.3f} s, RTF {together / found.seconds:.5f}")
    print(f"memory    {found.memory / 1e6:.0f} MB at most")
    print(
        f"machine   {found.peak / 1e9:.1f} GFLOP/s measured multiplying matrices;"
        f" the search reached {100 * found.used:.1f} % of it"
    )


def _evaluate_speakers(
    decoding, manifest: Path, speakers: str, *, out: Path | None, by: list[str], collar: float, force: bool
) -> None:
    """Prints who said what of a manifest's recordings; the status is 1 where some could not be transcribed."""
    require_recordings(by)
    wanted = speakers_of(speakers, None, "", False)
    from asr.evaluation.meetings import evaluate_meetings

    found = evaluate_meetings(decoding, manifest, speakers=wanted, out=out, collar=collar, force=force, say=say)
    if rank() == 0:  # the first process says it for all
        for line in [*found.score.lines(), *(found.score.recording_lines() if by else [])]:
            print(line)
    if found.failed:
        say(f"asr: {found.failed:,} recordings could not be transcribed; what is said in them counts as missed")
    raise typer.Exit(1 if found.failed else 0)
