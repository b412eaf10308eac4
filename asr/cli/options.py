"""What several subcommands of `asr` share: options, and what they refuse."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from asr.errors import ConfigError
from asr.language import say
from asr.outputs.writers import formats_in_words


def lowered(value: str) -> str:
    """A choice, in whatever case it is written."""
    return value.lower()


def require_one_of(value: str, known: Iterable[str], option: str) -> None:
    """Raises BadParameter for a value of an option that is none of those that are known."""
    known = list(known)
    if value not in known:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}", param_hint=option)


def require_recordings(by: Sequence[str]) -> None:
    """Raises BadParameter for a --by of --speakers that is not for each recording."""
    if set(by) - {"recording"}:
        raise typer.BadParameter("who said what is known for each recording: --by recording", param_hint="--by")


Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Threads = Annotated[int, typer.Option(min=0, max=1024, help="CPU threads; 0 lets PyTorch choose.")]
Model = Annotated[
    str,
    typer.Option(help="A model folder, or a name of `asr model list`, fetched at first use; embedded by default."),
]
Beam = Annotated[
    int | None, typer.Option(min=1, help="Hypotheses kept in the search, 1 is greedy; the model's own, or 4.")
]
Decode = Annotated[
    list[str],
    typer.Option(
        "--decode",
        metavar="KEY=VALUE",
        help="Change a decoding setting (ctc_weight=0.3, length_bonus=1, …); may be repeated, the last of one holds.",
    ),
]
Vad = Annotated[
    list[str],
    typer.Option(
        "--vad",
        metavar="KEY=VALUE",
        help="Change where speech is found and cut: threshold=0.3 finds more of it, 0 takes everything for speech; silence,"
        " longest, shortest, pause, padding, least_speech; may be repeated, the last of one holds.",
    ),
]
HotwordFile = Annotated[
    Path | None,
    typer.Option("--hotwords", help="Words that are likely to come, a line each: `word`, or word, tab and weight."),
]
CorrectNames = Annotated[
    bool | None,
    typer.Option(
        "--correct-names",
        help="Write a word of --hotwords where uncertain characters sound like it; each is named on stderr and in json.",
    ),
]
LanguageModel = Annotated[
    str | None,
    typer.Option(
        "--lm",
        help="A character language model: ARPA, ARPA.gz, a KenLM binary, the folder of a Transformer, or none; by default the"
        " model's own, if it has one. Or a large language model, a folder as Hugging Face has them (extra `rescore`): it ranks"
        " what the search found with the model's own.",
    ),
]
Quantize = Annotated[
    str,
    typer.Option(
        callback=lowered,
        help="none; int8: weights of 8 bits, fastest on a CPU; bfloat16: of 16 bits, on a GPU or a CPU with instructions for"
        " it; float16: on a GPU.",
    ),
]
Format = Annotated[str, typer.Option(callback=lowered, help=f"{formats_in_words()}.")]
Formats = Annotated[
    str,
    typer.Option(
        callback=lowered,
        show_default=False,
        help=f"{formats_in_words()}; with a folder as --out several: txt,srt. By default what the name of --out says, or txt.",
    ),
]
Words = Annotated[
    bool,
    typer.Option(
        "--words", help="vtt, lrc and ass with the time of each character (karaoke), tsv with a line for each."
    ),
]
WordTimes = Annotated[
    bool, typer.Option("--word-times", help="As --words, by word; json and textgrid have words beside characters.")
]
TxtLines = Annotated[
    str, typer.Option(callback=lowered, help="txt has a line for each recording, segment or paragraph.")
]
CueSeconds = Annotated[float, typer.Option(help="srt, vtt, lrc, ass: seconds that a subtitle is shown at most.")]
EndMarks = Annotated[
    bool, typer.Option("--end-marks", help="srt, vtt, lrc, ass: keep punctuation at the end of a subtitle.")
]
MinConfidence = Annotated[
    float | None, typer.Option(min=0, max=1, help="manifest: leave out segments below this, and doubtful ones.")
]
SpeakersOption = Annotated[
    str,
    typer.Option(
        "--speakers",
        metavar="[N|N-M]",
        show_default=False,
        help="Say who speaks (S1, S2 …), in every format: any number of people, 2, or 2-5 of them. Where two speak at once is"
        " marked in json; their words are not told apart. Needs the extra `speakers`.",
    ),
]
Voices = Annotated[
    Path | None,
    typer.Option(
        "--voices", help="--speakers: a folder with a clip of each person, named after them, who get their names."
    ),
]
Collar = Annotated[
    float, typer.Option(min=0, max=10, help="--speakers: seconds on each side of a border that are not scored.")
]
Script = Annotated[
    str, typer.Option(callback=lowered, help="simplified or traditional; as the model writes by default.")
]
Numbers = Annotated[
    str,
    typer.Option(
        callback=lowered, help="digits: 二零二四年 as 2024年, where it is sure to be a number; spoken by default."
    ),
]
Punctuate = Annotated[
    str,
    typer.Option(
        "--punctuate",
        metavar="[model|pauses]",
        callback=lowered,
        show_default=False,
        help="，。？！、: model (the default) sets them by what is said and by pauses, pauses by these alone; as the model writes"
        " without it.",
    ),
]
TextStyle = Annotated[
    str,
    typer.Option(
        "--style",
        callback=lowered,
        help="verbatim; clean: without hesitations (嗯, 呃) and words that were begun again (我我我, 那个那个). json keeps all.",
    ),
]
LineCharacters = Annotated[int, typer.Option(min=1, help="srt, vtt, lrc, ass: characters of a line at most.")]
Lines = Annotated[int, typer.Option(min=1, help="srt, vtt, ass: lines of a subtitle at most.")]
ReadingSpeed = Annotated[float, typer.Option(help="srt, vtt, lrc, ass: characters a second that can be read.")]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="[torch|onnx]",
        callback=lowered,
        help="onnx: ONNX Runtime runs the model, PyTorch is not needed; --model is then a folder that `asr model export --format"
        " onnx` made.",
    ),
]
Device = Annotated[str, typer.Option(callback=lowered, help="auto (a GPU where there is one), cpu or cuda.")]


def decoding_of(model, decode: Sequence[str], lm, hotwords, device: str, quantize: str, **given: int | bool | None):
    """What the options of a command say of decoding: `given` are options of their own for settings, such as --beam."""
    from asr.catalogue.decode_settings import changes
    from asr.catalogue.opening import Decoding
    from asr.transcription.inputs import readable_again

    settings = changes(decode, **given)
    lm, hotwords = lm and readable_again(lm), hotwords and readable_again(hotwords)
    return Decoding(model, settings, lm, hotwords, device, quantize)


def changes_of_vad(vad: Sequence[str]) -> dict:
    """What --vad says."""
    from asr.config_values import parse_changes

    return parse_changes(vad, "--vad")


def speakers_of(speakers: str, voices: Path | None, formats: str, split: bool):
    """What --speakers and --voices ask for, None for nothing; --voices asks for speakers, too."""
    if not speakers and voices is None:
        if "rttm" in formats.split(","):
            raise typer.BadParameter("rttm says who speaks when: --speakers finds it out", param_hint="--format")
        return None
    from asr.speakers.wanted import speakers_wanted, voices_of
    from asr.transcription.finding_speakers import SPLIT

    if split:
        raise typer.BadParameter(SPLIT, param_hint="--speakers")
    with usage_errors():
        return speakers_wanted(speakers or "auto", voices_of(voices) if voices else None)


def load_said(decoding, vad: Mapping = {}):  # noqa: B006
    """A transcriber of a Decoding; what of its settings changes nothing is said."""
    from asr.catalogue.opening import without_effect
    from asr.transcription.transcriber import load_decoding

    transcriber = load_decoding(decoding, vad)
    for line in without_effect(decoding, transcriber.recognizer):
        say(f"asr: {line}")
    return transcriber


def require_own(model: Path) -> None:
    """Refuses to change a model that is not a folder of the user's: one that is known by its name is shared."""
    if not model.is_dir():
        raise typer.BadParameter(
            f"{model}: no such folder; a model that is known by a name is not changed, `asr model export {model} --out …`"
            " makes a copy that can be",
            param_hint="MODEL",
        )


def set_threads(threads: int) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


@contextmanager
def usage_errors() -> Iterator[None]:
    """A block in which a setting that cannot be is wrong usage: status 2."""
    try:
        yield
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
