"""`asr score`."""

from pathlib import Path
from typing import Annotated

import typer

from asr.cli.options import Force, say


def score(
    reference: Annotated[Path, typer.Argument(help="What was said.")],
    hypothesis: Annotated[Path, typer.Argument(help="What was recognised.")],
    other: Annotated[Path | None, typer.Argument(help="What another system recognised: the two are compared.")] = None,
    *,
    unit: Annotated[
        str,
        typer.Option(
            help="char: every character, as the AISHELL recipes of Kaldi, FunASR, SpeechBrain and ESPnet count; mixed: Han"
            " characters, Latin words and numbers (MER), as WeNet's compute-wer, with rates for each apart."
        ),
    ] = "char",
    rules: Annotated[
        str,
        typer.Option(
            help="How both sides are normalised: forms,width,case,punctuation,word_signs,spaces by default, for mixed units"
            " without word_signs. +script (traditional to simplified), +numbers (30% is 百分之三十), +interjections (without"
            " 嗯, 啊 …), +tags (without <unk>, [NOISE]) and +number_signs (3.14 is 314) add to it, -case takes away, a list"
            " without signs replaces it, none leaves the texts as they are."
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
    fail_above: Annotated[
        float | None,
        typer.Option(min=0, metavar="PERCENT", help="Exit with status 1 if the last system's rate is higher."),
    ] = None,
    force: Force = False,
) -> None:
    """Print the character error rate of what was recognised against what was said.

    Each file is Kaldi text (`id text`), JSON lines with id and text (or nbest), a TSV with a header, or plain lines in the
    same order; which of them, its content tells. The status is 0 however high the rate is, unless --fail-above is given.
    """
    from asr.errors import ConfigError
    from asr.scoring.cer import UNITS, scoring_rules
    from asr.scoring.command import Files, score_command

    if unit not in UNITS:
        raise typer.BadParameter(f"{unit!r} is not one of {', '.join(UNITS)}", param_hint="--unit")
    try:
        chosen = scoring_rules(rules or None, unit)
    except ConfigError as error:
        raise typer.BadParameter(str(error), param_hint="--rules") from None
    files = Files(html, json, details)
    systems = [hypothesis, other] if other else [hypothesis]
    files.check([reference, *systems], force)
    result = score_command(reference, systems, unit, chosen, ids=ids, by=by, files=files, say=say)
    if fail_above is not None and 100 * result.cer > fail_above:
        say(f"{result.rate_name} {100 * result.cer:.2f} % is above {fail_above:g} %")
        raise typer.Exit(1)
