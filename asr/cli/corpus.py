"""`asr corpus …`."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli.command import Commands
from asr.cli.corpus_forms import corpus_cuts, corpus_shard
from asr.cli.options import Force, lowered, require_one_of
from asr.corpus.corpora import CORPORA
from asr.errors import AsrError
from asr.language import say
from asr.places import require_file, require_folder

corpus_app = Commands(
    no_args_is_help=True,
    help="Corpora, manifests, token tables and statistics for training.",
    rich_markup_mode=None,
)


@corpus_app.command("import")
def corpus_import(
    source: Annotated[
        Path,
        typer.Argument(
            help="A .tsv or .csv with a header (audio, text; id, speaker, seconds …), a Kaldi directory, JSON lines, or cuts of"
            " lhotse, also its shar (extra corpora)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSONL manifest to write.")],
    audio_root: Annotated[
        Path | None, typer.Option(help="What relative audio paths are relative to; the table's folder by default.")
    ] = None,
    where: Annotated[
        list[str], typer.Option(metavar="COLUMN=VALUE", help="Only rows with this value; may be repeated.")
    ] = [],  # noqa: B006
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken", help="Leave out rows that cannot be used, and write the others; the status is still 1."
        ),
    ] = False,
    spell_numbers: Annotated[
        bool,
        typer.Option(
            "--spell-numbers", help="Write numbers in digits as they are said: 25% as 百分之二十五 (extra text)."
        ),
    ] = False,
    force: Force = False,
) -> None:
    """Turn a table, a list of another toolkit or a Kaldi directory into a manifest.

    Rows that cannot be used, because their audio is missing, damaged or too short or something else in them is wrong, are
    listed, all of them, and the status is 1. Nothing is written then, unless --skip-broken leaves them out. An end or a
    duration of -1 is the recording's end. Without ids rows are called as their files, and where in these they begin.
    """
    from asr.corpus.importing import Skipped, import_corpus
    from asr.corpus.manifest import write_manifest
    from asr.corpus.texts import spelled_out

    require_file(out, force, [source])
    wanted: dict[str, str] = {}
    for condition in where:
        column, equals, value = condition.partition("=")
        if not equals:
            raise typer.BadParameter(f"{condition!r} must have the form COLUMN=VALUE", param_hint="--where")
        if wanted.setdefault(column, value) != value:
            raise typer.BadParameter(
                f"no row has {wanted[column]!r} and {value!r} in its {column}", param_hint="--where"
            )
    skipped = Skipped()
    utterances = list(import_corpus(source, audio_root, wanted, skipped))
    left_out = f"left out: {skipped.without_text:,} without text, {skipped.filtered:,} by --where"
    for line in skipped.broken:
        say(f"asr: {line}")
    if skipped.broken and not skip_broken:
        n = len(utterances) + len(skipped.broken)
        raise AsrError(
            f"{source}: {len(skipped.broken):,} of {n:,} rows cannot be used, nothing was written; correct them, or leave"
            " them out with --skip-broken"
        )
    left_out += f", {len(skipped.broken):,} broken" if skip_broken else ""
    if not utterances:
        raise AsrError(f"{source}: no row is left to import; {left_out}")
    if spell_numbers:
        utterances, n = spelled_out(utterances)
        left_out += f"; numbers are spelled out in {n:,} texts"
    say(f"{out}: {write_manifest(out, utterances):,} utterances; {left_out}")
    if skipped.broken:
        raise typer.Exit(1)


@corpus_app.command("download")
def corpus_download(
    name: Annotated[
        str, typer.Argument(callback=lowered, help="A corpus that is handed out without asking, such as aishell.")
    ],
    to: Annotated[Path, typer.Option(help="Folder to put it in; what is there already is not fetched again.")],
    mirror: Annotated[
        str, typer.Option(metavar="URL", help="Another server, such as https://openslr.magicdatatech.com/resources.")
    ] = "",
) -> None:
    """Fetch and unpack a public corpus, and compare its checksum where one is known."""
    from asr.corpus.public import download_public

    require_one_of(name, CORPORA, "NAME")
    download_public(name, to, mirror)
    say(f"{to}: there. Next: asr corpus prepare {name} --from {to} --out data/{name}")


@corpus_app.command("prepare")
def corpus_prepare(
    name: Annotated[str, typer.Argument(callback=lowered, help=f"One of {', '.join(['toy', *CORPORA])}.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the manifests.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Where the corpus lies; the toy corpus is made, and needs none.")
    ] = None,
    force: Force = False,
) -> None:
    """Write the manifests of a public corpus, one for each official split, or make the toy corpus.

    The audio stays where it is.
    """
    from asr.corpus.public import prepare_public
    from asr.corpus.toy import prepare_toy

    require_one_of(name, ("toy", *CORPORA), "NAME")
    if source is None and name != "toy":
        raise typer.BadParameter(f"where does {name} lie?", param_hint="--from")
    if source is not None and name == "toy":
        raise typer.BadParameter("the toy corpus is made, and needs none", param_hint="--from")
    require_folder(out, force)
    if name == "toy":
        for split, manifest in prepare_toy(out).items():
            say(f"{split}: {manifest}")
        return
    for split, (manifest, n, left_out) in prepare_public(name, source, out).items():
        more = "".join(f"; {count:,} {reason}" for reason, count in left_out.items())
        say(f"{split}: {manifest}, {n:,} utterances{more}")


@corpus_app.command("tokens")
def corpus_tokens(
    sources: Annotated[list[Path], typer.Argument(help="Manifests (.jsonl) and plain text files, a sentence a line.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The token table to write.")],
    min_count: Annotated[int, typer.Option(min=1, help="Leave out characters that occur less often.")] = 1,
    force: Force = False,
) -> None:
    """Build a token table from manifests and text files together."""
    from asr.corpus.texts import texts_of
    from asr.text.tokenizer import TokenTable

    require_file(out, force, sources)
    table = TokenTable.build((text for path in sources for text in texts_of(path)), min_count)
    table.save(out)
    say(f"{out}: {len(table):,} tokens")


@corpus_app.command("cmvn")
def corpus_cmvn(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of the training audio.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSON file to write.")],
    force: Force = False,
) -> None:
    """Compute global mean and variance of the features of some audio."""
    from asr.corpus.manifest import read_manifest
    from asr.features.fbank import FeatureConfig, LogMel
    from asr.training.statistics import cmvn_of_audio

    require_file(out, force, manifests)
    stats = cmvn_of_audio([u for path in manifests for u in read_manifest(path)], LogMel(FeatureConfig()))
    stats.save(out)
    say(f"{out}: {stats.n_frames:,} frames")


@corpus_app.command("info")
def corpus_info(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests.")],
    speakers: Annotated[bool, typer.Option("--speakers", help="List every speaker's hours.")] = False,
) -> None:
    """Print what is in manifests: hours, lengths, characters, hours of each speaker."""
    from asr.corpus.manifest import read_manifest
    from asr.corpus.summary import summary

    for number, path in enumerate(manifests):
        if number:
            print()
        print(path)
        for line in summary(read_manifest(path), speakers):
            print(line)


@corpus_app.command("check")
def corpus_check(
    manifests: Annotated[
        list[Path], typer.Argument(help="Manifests, those of training first: later ones are compared with them.")
    ],
    training: Annotated[int, typer.Option(min=1, help="So many of them, from the first, are trained on.")] = 1,
    decode: Annotated[
        bool, typer.Option("--decode", help="Read every sample, not only headers: finds damage and silence.")
    ] = False,
    tokens: Annotated[
        Path | None,
        typer.Option(help="Characters are unknown that this token table lacks, not those the training manifests lack."),
    ] = None,
    details: Annotated[Path | None, typer.Option(help="Write a TSV with a line for each utterance found.")] = None,
    force: Force = False,
) -> None:
    """Print what is wrong with manifests: audio, texts, numbers in digits, what they share, unknown characters.

    The status is 1 if there is an ERROR: something that would stop training, or make a test worthless. Sentences and
    speakers in two manifests are only warned of: some corpora are made so.
    """
    from asr.corpus.checking import check_manifest, check_overlap, unknown_characters
    from asr.corpus.manifest import read_manifest
    from asr.files import atomic_write
    from asr.text.normalize import characters
    from asr.text.tokenizer import TokenTable

    if training >= len(manifests) > 1:
        raise typer.BadParameter(
            f"{training} of {len(manifests)} manifests leaves none to compare with them", param_hint="--training"
        )
    if details:
        require_file(details, force, manifests)
    all_utterances = [read_manifest(path) for path in manifests]
    train = [u for utterances in all_utterances[:training] for u in utterances]
    known = set(TokenTable.load(tokens).tokens) if tokens else {c for u in train for c in characters(u.text)}
    findings = []
    for i, (path, utterances) in enumerate(zip(manifests, all_utterances, strict=True)):
        found, trained_on = check_manifest(utterances, decode), i < training
        if not trained_on:
            found += check_overlap(train, utterances)
        seconds = sum(u.duration for u in utterances)
        print(f"{path}: {len(utterances):,} utterances, {seconds / 3600:.2f} h" + ("" if found else "; nothing wrong"))
        for finding in found:
            print(f"  {finding.line()}")
        if tokens or not trained_on:
            print(f"  {unknown_characters(utterances, known).line()}")
        findings += found
    if details:
        with atomic_write(details) as file:
            file.write("kind\twhat\tid\twhere\tdetail\n")
            for finding in findings:
                kind = "error" if finding.serious else "warning"
                for u, detail in finding.items:
                    file.write("\t".join([kind, finding.what, u.id, u.where, detail.replace("\t", " ")]) + "\n")
    raise typer.Exit(1 if any(finding.serious for finding in findings) else 0)


@corpus_app.command("split")
def corpus_split(
    manifest: Annotated[Path, typer.Argument(help="The manifest to split.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for train.jsonl, dev.jsonl and test.jsonl.")],
    dev: Annotated[float, typer.Option(min=0, max=0.5, help="Share of the audio for dev.jsonl; 0 makes none.")] = 0.05,
    test: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the audio for test.jsonl; 0 makes none.")
    ] = 0.05,
    by: Annotated[
        str,
        typer.Option(
            callback=lowered, help="What may not be in two of them: speaker, text (a sentence), or utterance."
        ),
    ] = "speaker",
    seed: Annotated[int, typer.Option(help="Another number gives other splits.")] = 1,
    force: Force = False,
) -> None:
    """Split a manifest into train, dev and test that share no speaker."""
    from asr.corpus.manifest import read_manifest, write_manifest
    from asr.corpus.selecting import TOGETHER, split

    if dev + test >= 1:
        raise typer.BadParameter(f"{dev:g} and {test:g} leave nothing to train on", param_hint="--dev, --test")
    require_one_of(by, TOGETHER, "--by")
    shares = {name: share for name, share in (("dev", dev), ("test", test)) if share}
    paths = {name: out / f"{name}.jsonl" for name in ("train", *shares)}
    for path in paths.values():
        if path.resolve() != manifest.resolve():
            require_file(path, force)
        elif not force:
            raise AsrError(f"{path}: would be written over itself; choose another --out, or --force")
    for name, utterances in split(read_manifest(manifest), shares, by, seed).items():
        hours = sum(u.duration for u in utterances) / 3600
        say(f"{paths[name]}: {write_manifest(paths[name], utterances):,} utterances, {hours:.2f} h")


@corpus_app.command("mix")
def corpus_mix(
    manifests: Annotated[
        list[str],
        typer.Argument(metavar="MANIFEST[=TIMES]", help="Manifests; =0.5 takes half of one, =2 takes it twice."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.")],
    exclude: Annotated[
        list[Path], typer.Option(help="A test manifest whose sentences and recordings stay out; may be repeated.")
    ] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(help="Of what is taken where not all is.")] = 1,
    force: Force = False,
) -> None:
    """Put several corpora into one manifest."""
    from asr.corpus.manifest import read_manifest, write_manifest
    from asr.corpus.selecting import mix, path_and_times

    factors = [path_and_times(manifest) for manifest in manifests]
    require_file(out, force, [*(path for path, _ in factors), *exclude])
    parts = []
    for path, factor in factors:
        utterances = read_manifest(path)
        parts.append((utterances[0].source or path.stem, utterances, factor))
    mixed, left_out = mix(parts, [u for path in exclude for u in read_manifest(path)], seed)
    if not mixed:
        raise AsrError(f"{out}: nothing is left to mix: --exclude or the share took all; see `asr corpus info`")
    hours = sum(u.duration for u in mixed) / 3600
    say(f"{out}: {write_manifest(out, mixed):,} utterances, {hours:.2f} h; {left_out:,} left out by --exclude")


corpus_app.command("shard")(corpus_shard)
corpus_app.command("cuts")(corpus_cuts)
