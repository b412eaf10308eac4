"""Recordings of any length to transcripts."""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from asr.audio.given import Audio
from asr.audio.voice_activity import load_voice_activity
from asr.catalogue.decode_settings import Changes, changed_settings, decode_settings
from asr.catalogue.opening import Decoding, Opened, from_anywhere, hotwords_of, open_decoding, without_effect
from asr.config_values import from_dict
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.search import CandidateScorer
from asr.decoding.wordlists import HotwordList, Hotwords, read_hotwords
from asr.errors import AsrError, CheckpointError
from asr.model.folder import LoadedModel
from asr.recognition.large_lm import LargeLm
from asr.recognition.recognizer import Recognizer
from asr.transcript import Transcript
from asr.transcription.aligning import Aligner
from asr.transcription.segmenting import SegmentConfig
from asr.transcription.transcribing import Transcribing


class Transcriber(Transcribing):
    """A loaded model that turns audio into transcripts. `load` makes one.

    Audio is a path, the bytes of a file, a file opened with "rb", or samples with their rate: an array or tensor (S,), (1, S)
    or (S, channels) of any rate, floats in [-1, 1] or signed whole numbers, as `soundfile.read` gives them.

    Threads may use it at the same time. A pickle or a copy of it holds no weights: it loads them again, and fails with
    CheckpointError if the model is another one by then. Processes of a pool, and forked ones, may use it.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        decode: Changes | None = None,
        lm: CandidateScorer | None = None,
        hotwords: Hotwords | None = None,
        *,
        segments: SegmentConfig | Mapping[str, Any] | None = None,
        decoding: Decoding | None = None,
        large_lm: LargeLm | None = None,
    ):
        """decode: what is to differ from the settings that are saved with the model. decoding: what it was opened by.

        segments: where recordings are cut, or what of it is to differ from what is usual for the model.
        """
        settings = decode_settings(loaded.folder, decode)
        self.decoding = decoding
        self.loaded: LoadedModel = loaded
        """Network and tokens, by name."""
        self.recognizer: Recognizer
        """What decodes pieces of recordings; its `config` holds all decoding settings."""
        recognizer = Recognizer(loaded.model, loaded.tokenizer, settings, lm, hotwords=hotwords, large_lm=large_lm)
        if not isinstance(segments, SegmentConfig):
            segments = SegmentConfig.changed(loaded.model.log_mel.config.window_seconds, segments or {})
        super().__init__(
            recognizer, loaded.tokenizer, loaded.name, segments=segments, voice_activity=load_voice_activity()
        )

    def __repr__(self) -> str:
        device, beam = self.recognizer.device, self.recognizer.config.beam
        return f"<Transcriber: {self.loaded.name} on {device}, beam {beam}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Raises AsrError for a Transcriber that `load` did not make."""
        if self.decoding is None:
            raise AsrError(
                "only a Transcriber that asr.load has made can be pickled or copied: it is loaded again by its name"
            )
        decoding = replace(from_anywhere(self.decoding), settings=asdict(self.recognizer.config))
        return _loaded_again, (pickle.dumps(decoding), self.loaded.metadata, self.segments)

    def changed(
        self, *, beam: int | None = None, decode: Changes | None = None, hotwords: HotwordList | None = None
    ) -> "Transcriber":
        """The same loaded model, searched in another way; nothing is loaded again. The arguments are those of `load`.

        What is not given stays as it is here; `hotwords=[]` takes them away. Raises ConfigError for settings that cannot be.
        Example: `model.changed(hotwords=["北京"]).transcribe("talk.wav")`
        """
        changes, of = changed_settings(decode, beam), self.recognizer
        settings = from_dict(DecodeConfig, asdict(of.config) | changes, "decode")
        decoding = Decoding(self.loaded.folder, changes, hotwords=hotwords)
        words = of.hotwords if hotwords is None else hotwords_of(decoding, self.loaded, settings)
        made = self._searched_by(_searching(of, settings, words))
        if self.decoding and hotwords is not None:
            made.decoding = replace(self.decoding, hotwords=decoding.hotwords)
        tell_what_changes_nothing(decoding, made)
        return made

    def listening_for(self, words: Sequence[str]) -> "Transcriber":
        """The same loaded model, which listens for these words besides its own hot words; it cannot be pickled."""
        of = self.recognizer
        weight, table = of.config.hotword_weight, of.tokenizer.table
        hotwords = read_hotwords([(word, weight) for word in words], of.tokenizer, table, weight)
        hotwords = of.hotwords.with_more(hotwords) if of.hotwords else hotwords
        made = self._searched_by(_searching(of, of.config, hotwords))
        made.decoding = None
        return made

    def align(self, audio: Audio, text: str | Path, by: str = "auto") -> Transcript:
        """When each word of a known text was said: a segment for each of its lines that holds one.

        `text`: the text itself, or the Path of a file of it. `by`: "ctc" for the CTC head, "attention" for the decoder's
        attention, "auto" for the head where there is one. Raises AsrError where the recording is too short for the text, or
        cannot be read.
        """
        return Aligner(self.loaded, by, self.recognizer.config).align(audio, text)


def load(
    model: str | Path = "",
    device: str = "auto",
    *,
    beam: int | None = None,
    decode: Changes | None = None,
    quantize: str = "none",
    hotwords: HotwordList | None = None,
    lm: str | Path | None = None,
    vad: Mapping[str, Any] | None = None,
) -> Transcriber:
    """A model by path or name, ready to transcribe; without a name, the one that came with the program.

    `device`: "auto" for a GPU where there is one, "cpu" or "cuda". `beam`, and `decode` such as {"ctc_weight": 0.3}: what is to
    differ from the settings that are saved with the model, all else stays. `quantize`: "int8", "bfloat16" or "float16" for
    weights of fewer bits. `hotwords`, such as ["北京", "语音识别"] or {"北京": 3.0}: words that are likely to come, with weights
    if need be, or a file with a word a line. `lm`: an n-gram model, an ARPA file, in place of the one that the model may come
    with; a large language model, a folder as Hugging Face has them, to rank what is found with that; "none" for none. `vad`,
    such as {"threshold": 0.3}: what is to differ from where recordings are usually cut. What of it changes nothing is told as a
    warning.

    Raises CheckpointError where there is no such model, ConfigError for settings that cannot be.
    Example: `asr.load().transcribe("talk.wav").text`
    """
    decoding = Decoding(model, changed_settings(decode, beam), lm, hotwords, device, quantize)
    transcriber = load_decoding(decoding, vad)
    tell_what_changes_nothing(decoding, transcriber)
    return transcriber


def tell_what_changes_nothing(decoding: Decoding, transcriber: Transcriber) -> None:
    """Warns, where the function that calls this was called, of settings and hot words that have no effect."""
    for line in without_effect(decoding, transcriber.recognizer):
        warnings.warn(line.removeprefix("--"), stacklevel=3)


def load_decoding(decoding: Decoding, vad: Mapping[str, Any] | None = None) -> Transcriber:
    """A Transcriber of what a Decoding names; `vad`: what of the cutting is to differ from what is usual for the model."""
    return _of(open_decoding(decoding), decoding, vad)


def _of(opened: Opened, decoding: Decoding, segments: SegmentConfig | Mapping[str, Any] | None = None) -> Transcriber:
    own = opened.loaded, opened.settings, opened.lm, opened.hotwords
    return Transcriber(*own, segments=segments, decoding=decoding, large_lm=opened.large_lm)


def _searching(of: Recognizer, settings: DecodeConfig, hotwords: Hotwords | None) -> Recognizer:
    """One of the same networks, which searches in another way."""
    return Recognizer(of.model, of.tokenizer, settings, of.lm, hotwords=hotwords, large_lm=of.large_lm)


@lru_cache(maxsize=1)
def _opened_again(pickled: bytes) -> Opened:
    """Kept, because a process of a pool gets the Transcriber anew with each of its tasks."""
    return open_decoding(pickle.loads(pickled))


def _loaded_again(pickled: bytes, metadata: Mapping[str, str], segments: SegmentConfig) -> Transcriber:
    """What was pickled. Raises CheckpointError where the model is another one by now."""
    decoding, opened = pickle.loads(pickled), _opened_again(pickled)
    if opened.loaded.metadata != metadata:
        raise CheckpointError(f"{opened.folder}: holds another model than when the Transcriber of it was pickled")
    return _of(opened, decoding, segments)


def transcribe(audio: Audio, model: str | Path = "", device: str = "auto", *, track: int | None = None) -> Transcript:
    """Loads a model and transcribes one recording; to transcribe several, keep what `load` returns.

    The arguments are those of `load` and of `Transcriber.transcribe`. Raises AudioError where it cannot be read.
    """
    return load(model, device).transcribe(audio, track=track)
