"""CMVN statistics of training audio."""

from collections.abc import Sequence

import torch

from asr.corpus.batching import DataConfig
from asr.corpus.manifest import Utterance
from asr.features.cmvn import CmvnStats, compute_cmvn
from asr.features.fbank import LogMel

SAMPLE = 5000
"""Utterances, spread evenly over the list, that statistics are taken from: the mean of 160 values needs no more."""


def cmvn_of(utterances: Sequence[Utterance], log_mel: LogMel, config: DataConfig) -> CmvnStats:
    """The statistics that `config` names, or those of the audio itself."""
    return CmvnStats.load(config.cmvn) if config.cmvn else cmvn_of_audio(utterances, log_mel)


def cmvn_of_audio(utterances: Sequence[Utterance], log_mel: LogMel) -> CmvnStats:
    """Statistics over at most SAMPLE of the utterances."""
    chosen = utterances[:: -(-len(utterances) // SAMPLE)]
    log_mel = log_mel.eval()  # no dither

    def features():
        for u in chosen:
            samples = torch.from_numpy(u.read())
            frames, _ = log_mel(samples[None], torch.tensor([len(samples)]))
            yield frames[0]

    return compute_cmvn(features())
