"""`asr score`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import Collar, Force, lowered, require_one_of, require_recordings
from asr.language import say

STDIN = Path("/dev/stdin")
DASH = Path("-")


def score(
    reference: Annotated[
        Path, typer.Argument(help="What was said: a file, or a folder with a file for each test set.")
    ],
    hypotheses: Annotated[
        list[Path],
        typer.Argument(
            help="What was recognised; of a second system, and of more, they are compared. For a folder of test sets, a"
            " folder with files of the same names, or folders with a file `text` or `hyp.txt`."
        ),
    ],
    *,
    unit: Annotated[
        str,
        typer.Option(
            callback=lowered,
            help="char: every character, as AISHELL's own recipe in Kaldi, FunASR, SpeechBrain and ESPnet; mixed: Han"
            " characters, Latin words and numbers (MER), as WeNet's compute-wer, with rates for each apart.",
        ),
    ] = "char",
    rules: Annotated[
        str,
        typer.Option(
            callback=lowered,
            help="How both sides are normalised: forms,width,case,punctuation,word_signs,spaces by default, for mixed units"
            " without word_signs. +script (traditional to simplified), +numbers (30% is 百分之三十), +interjections (without"
            " 嗯, 啊 …), +tags (without <unk>, [NOISE]) and +number_signs (3.14 is 314) add to it, -case takes away, a list"
            " without signs replaces it, none leaves the texts as they are.",
        ),
    ] = "",
    table: Annotated[
        str,
        typer.Option(
            callback=lowered,
            help="Print a table of systems by test sets as text, markdown or latex (booktabs), with intervals, and letters"
            " that say which differences are significant; text, where there are more than two systems or one set, by default.",
        ),
    ] = "",
    html: Annotated[Path | None, typer.Option(help="Write a report page, complete in itself.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write totals and tables for programs.")] = None,
    details: Annotated[Path | None, typer.Option(help="Write a TSV with a line per utterance.")] = None,
    by: Annotated[
        list[str], typer.Option(help="Also a rate for each value of this field (speaker, …); may be repeated.")
    ] = [],  # noqa: B006
    ids: Annotated[
        bool | None,
        typer.Option("--ids/--no-ids", help="Text lines begin with an id, or do not; found out by default."),
    ] = None,
    utt2spk: Annotated[
        Path | None,
        typer.Option(help="Kaldi's file of `id speaker`: the interval is over speakers then, and --by speaker works."),
    ] = None,
    speakers: Annotated[
        bool,
        typer.Option(
            "--speakers",
            help="Who said what: DER (missed, false alarm, confusion; without and with a collar) and, where there are texts,"
            " cpCER; of RTTM, STM, CTM or JSON, or folders of such. Implied where a side is RTTM. --by recording: of each.",
        ),
    ] = False,
    collar: Collar = 0.25,
    fail_above: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="PERCENT",
            help="Exit with status 1 if the last system's rate is higher, of any test set; of --speakers cpCER, else DER.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Print the character error rate of what was recognised against what was said; with --speakers, who said what.

    Each file, or - for stdin, is Kaldi text (`id text`), JSON lines with id and text (or nbest; NeMo's, too), a TSV or CSV
    with a header, sclite's trn (`text (id)`), STM or CTM, Whisper's JSON or subtitles of a recording, a folder with a file for
    each, or plain lines in the same order; which of them, its content tells. The status is 0 however high the rate is, unless
    --fail-above is given.

    What others count: Kaldi's recipe for AISHELL each character as it is written (--rules spaces), FunASR in any case
    (--rules tags,case,spaces), ESPnet spaces, too (--rules case), Whisper no signs (--rules +tags,+number_signs), WeNet a run
    of Latin letters as one (--unit mixed). asr/scoring/README.md shows the same ten lines counted by each.
    """
    from asr.errors import ConfigError
    from asr.scoring.cer import UNITS, scoring_rules
    from asr.scoring.command import Output, score_command, speaker_command
    from asr.scoring.rendering import STYLES
    from asr.scoring.turns import is_rttm

    for option, value, known in (("--unit", unit, UNITS), ("--table", table or "text", STYLES)):
        require_one_of(value, known, option)
    try:
        chosen = scoring_rules(rules or None, unit)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--rules") from None
    reference, *hypotheses = _named((reference, *hypotheses))
    output = Output(table, by, html, json, details)
    output.check([reference, *hypotheses], force)
    # of stdin nothing is looked at: on macOS that would be gone, even of a file
    if speakers or any(is_rttm(path) for path in (reference, *hypotheses) if path != STDIN):
        given = {"--table": table, "--html": html, "--details": details, "--utt2spk": utt2spk, "--ids": ids is not None}
        for option in (option for option, value in given.items() if value):
            raise typer.BadParameter("is for texts; who said what is printed, and written by --json", param_hint=option)
        require_recordings(by)
        rate, name = speaker_command(
            reference, hypotheses, unit, chosen, collar=collar, by_recording=bool(by), json=json, say=say
        )
        if fail_above is not None and 100 * rate > fail_above:
            say(f"{name} {100 * rate:.2f} % is above {fail_above:g} %")
            raise typer.Exit(1)
        return
    results = score_command(reference, hypotheses, unit, chosen, ids=ids, utt2spk=utt2spk, output=output, say=say)
    high = [result for result in results if fail_above is not None and 100 * result.cer > fail_above]
    for result in high:
        say(f"{result.rate_name} {100 * result.cer:.2f} % is above {fail_above:g} %")
    if high:
        raise typer.Exit(1)


def _named(paths: Sequence[Path]) -> list[Path]:
    """Paths with the name of stdin in the place of `-`."""
    if paths.count(DASH) > 1:
        raise typer.BadParameter("stdin can be read once only", param_hint="-")
    if DASH in paths and not STDIN.exists():
        raise typer.BadParameter("stdin is closed, or has no name on this system: give a file", param_hint="-")
    return [STDIN if path == DASH else path for path in paths]
