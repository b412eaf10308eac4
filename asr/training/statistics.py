"""CMVN statistics of training audio."""

from collections.abc import Sequence

import torch

from asr.corpus.batching import DataConfig
from asr.corpus.manifest import Utterance
from asr.errors import AudioError
from asr.features.cmvn import CmvnStats, compute_cmvn
from asr.features.fbank import LogMel

SAMPLE = 5000
"""Utterances, spread evenly over the list, that statistics are taken from: the mean of 160 values needs no more."""


def cmvn_of(utterances: Sequence[Utterance], log_mel: LogMel, config: DataConfig) -> CmvnStats:
    """The statistics that `config` names, or those of the audio itself, as far as it can be read."""
    return CmvnStats.load(config.cmvn) if config.cmvn else cmvn_of_audio(utterances, log_mel, skip_unreadable=True)


def cmvn_of_audio(utterances: Sequence[Utterance], log_mel: LogMel, skip_unreadable: bool = False) -> CmvnStats:
    """Statistics over at most SAMPLE of the utterances. Raises AudioError where one, or every one, cannot be read."""
    chosen = utterances[:: -(-len(utterances) // SAMPLE)]
    log_mel = log_mel.eval()  # no dither

    def features():
        n_read = 0
        for u in chosen:
            try:
                samples = torch.from_numpy(u.read())
            except AudioError:
                if not skip_unreadable or (u is chosen[-1] and not n_read):
                    raise
                continue
            n_read += 1
            frames, _ = log_mel(samples[None], torch.tensor([len(samples)]))
            yield frames[0]

    return compute_cmvn(features())
