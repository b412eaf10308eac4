"""Speakers of recordings that are transcribed: the networks are loaded, and the voices of known people heard, once for all."""

import numpy as np

from asr.audio.given import Bytes, name_of
from asr.audio.reading import SAMPLE_RATE
from asr.audio.speech_probabilities import SpeechNetwork
from asr.errors import UsageError
from asr.speakers.diarizer import Diarizer, Networks, voice_of
from asr.speakers.wanted import Speakers, Wanted, speakers_wanted
from asr.transcription.recordings import blocks_of

LONGEST_VOICE = 60
"""Seconds of a clip that are heard to know a voice."""
SPLIT = "with channels split each channel is a talker of its own; speakers are told apart where channels are averaged"


class SpeakerFinder:
    """Makes a Diarizer for each recording. Raises AsrError where the extra `speakers` is missing, AudioError for a voice that
    cannot be heard."""

    def __init__(self, wanted: Speakers, activity: SpeechNetwork):
        self.wanted, self.networks = wanted, Networks.load(activity)
        self.voices: dict[str, np.ndarray] = {}
        for name, audio in wanted.voices.items():
            problems: list[str] = []
            blocks, n = [], 0
            nameless = isinstance(audio, Bytes | tuple)
            called = f"voice {name}" if nameless else name_of(audio)
            for block in blocks_of(audio, called, problems):
                blocks.append(block)
                n += len(block)
                if n >= LONGEST_VOICE * SAMPLE_RATE:
                    break
            samples = np.concatenate([*blocks, np.zeros(0, np.float32)])[: LONGEST_VOICE * SAMPLE_RATE]
            self.voices[name] = voice_of(self.networks, called, samples)

    def diarizer(self) -> Diarizer:
        """For one recording."""
        return Diarizer(self.networks, self.wanted, self.voices)


def finder_of(wanted: "Wanted | SpeakerFinder", activity: SpeechNetwork, split: bool) -> SpeakerFinder | None:
    """What finds the speakers that are wanted; None where none are. Raises UsageError where channels are split."""
    if isinstance(wanted, SpeakerFinder):
        return wanted
    speakers = speakers_wanted(wanted)
    if speakers is None:
        return None
    if split:
        raise UsageError(f"speakers: {SPLIT}")
    return SpeakerFinder(speakers, activity)
