"""How a model is decoded."""

from dataclasses import dataclass
from typing import Any, Self

from asr.config_checks import check_above_zero, check_names, check_not_negative, check_up_to_one
from asr.decoding.rule_names import UNWRITTEN
from asr.errors import ConfigError
from asr.foreign_bytes import quoted

AUTO = "auto"
"""A setting that goes by what is decoded."""
NO_LM = "none"
"""What stands in the place of a language model's path for none at all."""
LARGEST = {
    "length_power": 10,
    "length_bonus": 1000,
    "eos_threshold": 1000,
    "temperature": 1000,
    "ctc_weight": 1000,
    "lm_weight": 1000,
    "large_lm_weight": 1000,
    "hotword_weight": 1000,
    "hotword_margin": 1e6,
    "coverage_weight": 1000,
    "max_chars_per_second": 1000,
    "window": 3600,
    "batch_seconds": 1e6,
}
"""Setting → its largest value, either way: beyond it sums overflow, or memory ends."""
MOST = 500
"""The widest beam: memory and time grow with it, and nobody needs more."""

MOST_RECORDINGS = 10_000
"""Whose pieces wait, with all that is known of them, for the last of them to be read."""


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """How token sequences are searched. Example: `asr.load(decode=asr.DecodeConfig(beam=1))`, the rest as the model has it."""

    beam: int = 4
    """Hypotheses kept per utterance; 1 is greedy."""
    nbest: int = 1
    """Hypotheses returned per utterance; at most the beam."""
    rule: str = "own"
    """own: `beam` unfinished hypotheses always go on, until as many are finished. Of imported models, so that they give what
    their toolkit gives: wenet (FireRedASR, too): finished ones keep their places in the beam until better ones push them out;
    espnet, speechbrain: they leave their places empty, until none of the last lengths is likely, or `beam` are finished.
    transformers (Whisper): as own, but until no unfinished one has a better rank than the worst of `beam` finished ones."""
    length_power: float = 1.0
    """A hypothesis is ranked by its score over (tokens, eos included) ** length_power; 0 is the plain sum."""
    gnmt_length: bool = False
    """Divide by ((5 + tokens) / 6) ** length_power instead (Wu et al. 2016, equation 14)."""
    length_bonus: float = 0.0
    """Added for every token but eos: makes up for scorers that favour short texts."""
    eos_threshold: float = 0.0
    """End only where log p(eos) > eos_threshold * log p of the likeliest other token (Hannun et al. 2019 use 1.5); 0 is off."""
    temperature: float = 1.0
    """The decoder's logits are divided by this: above 1 it is less sure of itself."""
    candidates: int = 24
    """Continuations of each hypothesis that scorers besides the decoder judge; eos is always one more."""
    ctc_weight: float = 0.5
    """Weight of the CTC head's prefix score, where the model has one; the decoder's is 1."""
    lm_weight: float = 0.3
    """Weight of a language model, where one is given."""
    large_lm_weight: float = 0.5
    """Weight of a large language model, where one is given, in the final ranking. What is ranked are the texts of the beam."""
    hotword_weight: float = 2.0
    """Bonus for each character of a hot word that comes without a weight of its own."""
    hotword_margin: float = 3.0
    """It gets the bonus only where its log-probability is at most this much below that of the likeliest character."""
    correct_names: bool = False
    """Write a hot word in the place of uncertain characters that sound like it; each replacement is reported."""
    reverse_weight: float = 0.0
    """Share of a right-to-left decoder, where the model has one, in the final ranking; the rest is the decoder's."""
    coverage_weight: float = 0.0
    """Weight of the coverage penalty (Wu et al. 2016, equation 14) in the final ranking: texts that leave audio out pay it."""
    stop_loops: bool = True
    """Drop a hypothesis that ends in the same few tokens over and over."""
    redecode: bool = True
    """Decode again what was stopped at the length limit, repeats itself, or stands still in the audio: in the whole window of a
    model that heard it in a shorter one, then in smaller pieces."""
    max_chars_per_second: float = 10.0
    """No hypothesis is longer than this times the seconds of audio, plus two: nobody speaks faster."""
    never_written: tuple[int, ...] = ()
    """Ids of tokens that are not chosen, besides those that are no text: Whisper's brackets and notes of music."""
    no_speech: float = 0.5
    """A piece in which nobody speaks, with a probability above this, gives no text: of models with a no-speech head. 1: all are
    searched."""
    window: float | str = AUTO
    """Seconds that pieces are filled up to with silence for a model that hears windows (Whisper, 30): at least their own, at most
    the model's. auto: by their lengths where `redecode` has texts that look wrong decoded again, in the whole window. 30: always
    that one."""
    batch_seconds: float = 120.0
    """Audio decoded in one batch, padding included."""
    batch_recordings: int = 8
    """Recordings, at most, whose speech is decoded together, so that short ones fill a batch. The more there are, the later comes
    the text of the first."""

    def __new__(cls, **given: object) -> Self:
        made = super().__new__(cls)
        object.__setattr__(made, "_given", tuple(given))
        return made

    def given(self) -> dict[str, Any]:
        """The settings that were named when it was made: what it changes of the settings that a model comes with."""
        return {name: getattr(self, name) for name in self.__dict__["_given"]}

    def __post_init__(self) -> None:
        for name in ("beam", "nbest", "candidates"):
            if not 1 <= getattr(self, name) <= MOST:
                raise ConfigError(f"decode.{name} must be from 1 to {MOST}, is {getattr(self, name)}")
        if not 1 <= self.batch_recordings <= MOST_RECORDINGS:
            raise ConfigError(
                f"decode.batch_recordings must be from 1 to {MOST_RECORDINGS:,}, is {self.batch_recordings}"
            )
        check_names("decode", self, rule=UNWRITTEN)
        if self.nbest > self.beam:
            raise ConfigError(f"decode.nbest {self.nbest} cannot be more than decode.beam {self.beam}")
        check_above_zero("decode", self, "max_chars_per_second", "batch_seconds", "temperature")
        if self.window != AUTO and (isinstance(self.window, str) or self.window <= 0):
            raise ConfigError(f"decode.window must be auto or seconds above 0, is {quoted(self.window)}")
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if value != AUTO and not abs(value) <= most:
                raise ConfigError(f"decode.{name} must be at most {most:,g}, is {value:g}")
        check_up_to_one("decode", self, "reverse_weight", "no_speech")
        check_not_negative("decode", self, "ctc_weight", "eos_threshold", "coverage_weight", "hotword_margin")
        check_not_negative("decode", self, "large_lm_weight")

    def max_tokens(self, seconds: float) -> int:
        """The longest hypothesis for so much audio, eos and what the rule does not write not counted."""
        return int(seconds * self.max_chars_per_second) + 2 + UNWRITTEN[self.rule]

    def rank(self, total: float, n_tokens: int) -> float:
        """What a hypothesis is ranked by, from its summed score; n_tokens includes eos."""
        return total / self._length(n_tokens)

    def total(self, rank: float, n_tokens: int) -> float:
        """The summed score that `rank` was made from."""
        return rank * self._length(n_tokens)

    def _length(self, n_tokens: int) -> float:
        return ((5 + n_tokens) / 6 if self.gnmt_length else max(1, n_tokens)) ** self.length_power
