"""`asr serve`."""

from typing import Annotated

import typer

from asr.cli.options import (
    Beam,
    CorrectNames,
    Decode,
    Device,
    HotwordFile,
    LanguageModel,
    Model,
    Numbers,
    Punctuate,
    Quantize,
    Script,
    TextStyle,
    Threads,
    Vad,
    changes_of_vad,
    decoding_of,
    load_said,
    set_threads,
    usage_errors,
)
from asr.language import say


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is every one of this machine, :: IPv6, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    key: Annotated[
        str,
        typer.Option(
            envvar="ASR_KEY", help="What clients must send as their key, but to /health; empty asks for none."
        ),
    ] = "",
    allow_host: Annotated[
        list[str],
        typer.Option(
            metavar="NAME", help="A name besides its own that the server is called by, * for any; may be repeated."
        ),
    ] = [],  # noqa: B006
    allow_origin: Annotated[
        list[str],
        typer.Option(
            metavar="ORIGIN", help="Let web pages of https://example.org use the server, * for all; may be repeated."
        ),
    ] = [],  # noqa: B006
    max_upload: Annotated[float, typer.Option(min=0.001, max=1e6, help="Megabytes of the largest upload.")] = 2000,
    max_seconds: Annotated[
        float, typer.Option(min=1, help="Seconds of the longest recording, however few bytes it has.")
    ] = 4 * 3600,
    max_queue: Annotated[
        int,
        typer.Option(min=0, help="Recordings that may wait for the one at work; others are told when to come again."),
    ] = 16,
    max_clients: Annotated[
        int, typer.Option(min=1, help="Requests that may be sent, wait, or be answered at a time.")
    ] = 200,
    max_work: Annotated[float, typer.Option(min=1, help="Seconds that may be worked on one recording.")] = 3600,
    max_live: Annotated[int, typer.Option(min=0, help="Live sessions at a time.")] = 16,
    max_idle: Annotated[float, typer.Option(min=1, help="Seconds in which a live client must send something.")] = 60,
    model: Model = "",
    beam: Beam = None,
    script: Script = "",
    numbers: Numbers = "",
    punctuate: Punctuate = "",
    style: TextStyle = "verbatim",
    hotwords: HotwordFile = None,
    correct_names: CorrectNames = None,
    lm: LanguageModel = None,
    decode: Decode = [],  # noqa: B006
    vad: Vad = [],  # noqa: B006
    device: Device = "auto",
    quantize: Quantize = "none",
    threads: Threads = 0,
) -> None:
    """Transcribe over HTTP, as OpenAI's /v1/audio/transcriptions does: json, text, srt, vtt, verbose_json.

    /v1/realtime is for live text, over WebSocket: OpenAI's realtime transcription, or bare 16-bit samples (?rate=16000).
    `prompt` and `keywords` are hot words: names and terms, parted by commas; `stream=true` sends text as it is found. Headers of
    an answer say which hot words were listened for (X-Hotwords) and which fields changed nothing (Warning). One recording is
    worked on at a time, long ones a part in turn. What is sent is not encrypted: to a network that you do not trust open it
    behind a proxy only.

    /v1/inspect answers a clip of up to 30 seconds with the page of `asr inspect`.

    A browser gets a page at / for all this: texts to read along, correct and save, and live captions.

    Requests from pages of other web sites are refused, and those that call the server by a name that it does not know it has.
    """
    from asr.finishing.finishing import Finishing, check

    with usage_errors():
        finishing = Finishing(script, numbers, punctuate, style)
    if not (host := host.strip().removeprefix("[").removesuffix("]")):  # as an address has IPv6 in it
        raise typer.BadParameter("is empty; 0.0.0.0 is every address of this machine", param_hint="--host")
    if not (key := key.strip()).isascii():
        raise typer.BadParameter("must be of ASCII characters, as headers are", param_hint="--key")
    check(finishing)
    set_threads(threads)
    from asr.serving.server import serve as run
    from asr.serving.settings import ServerSettings

    limits = int(max_upload * 1e6), max_seconds, max_queue
    names = tuple(allow_host), tuple(origin.rstrip("/") for origin in allow_origin)
    settings = ServerSettings(host, port, key, *limits, *names, max_clients, max_work, max_live, max_idle)
    decoding = decoding_of(model, decode, lm, hotwords, device, quantize, beam=beam, correct_names=correct_names)
    cutting = changes_of_vad(vad)
    run(lambda: load_said(decoding, cutting), finishing, settings, say)
