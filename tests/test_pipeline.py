"""The whole system on the toy language: trained, decoded and scored, as a user would do it."""

import json

import pytest
import torch

from asr.catalogue.opening import Decoding, open_model
from asr.corpus.manifest import read_manifest
from asr.evaluation.evaluate import evaluate
from asr.scoring.cer import CharErrors, char_errors
from asr.scoring.score import score_files
from asr.training.config import load_config
from asr.training.loop import train
from asr.transcription.transcriber import Transcriber
from tests.runs import QUIET, RECIPE, logged_losses

pytestmark = pytest.mark.slow


def test_training_lowers_the_loss(toy_corpus, tmp_path):
    """A few dozen steps of the recipe; what the whole of it reaches, `asr verify exp/toy recipes/toy` compares."""
    data = [f'data.train=["{toy_corpus["train"]}"]', f'data.dev=["{toy_corpus["dev"]}"]']
    few = [
        "data.curriculum_epochs=0",
        "train.max_steps=40",
        "train.warmup_steps=10",
        "train.log_every=10",
        "train.evaluate_every=40",
    ]
    folder = train(load_config(RECIPE, [*data, *few]), tmp_path / "run", display=QUIET)
    losses = logged_losses(folder)
    assert len(losses) == 4 and losses[-1] < losses[0]
    assert evaluate(Decoding(folder, {"beam": 1}), toy_corpus["test"]).score.errors.reference == 418


def test_the_toy_language_as_it_was_learned(toy_run, toy_corpus, tmp_path):
    decoding = Decoding(toy_run, {"beam": 4, "nbest": 3})
    lines = evaluate(decoding, toy_corpus["test"], out=tmp_path, by=["source"]).lines()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["cer"] < 0.05, lines
    assert lines[0].startswith("CER ") and lines[-1].startswith("source toy: CER ")
    assert score_files(toy_corpus["test"], tmp_path / "hyp.txt").lines() == lines[:3]
    assert score_files(toy_corpus["test"], tmp_path / "nbest.jsonl").lines() == lines[:4]
    nbest = [json.loads(line)["nbest"] for line in (tmp_path / "nbest.jsonl").read_text().splitlines()]
    assert all("decoder" in found["scores"] for each in nbest for found in each)
    assert max(map(len, nbest)) == 3


def test_it_listens_and_does_not_recite(toy_run, toy_corpus):
    """With zeros in place of the encoder's output nothing is left to go by."""
    loaded = open_model(toy_run, "cpu")
    loaded.model.encoder.norm.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    transcriber = Transcriber(loaded)
    utterances = read_manifest(toy_corpus["test"])
    errors = sum((char_errors(u.text, transcriber.transcribe(u.audio).text) for u in utterances), CharErrors())
    assert errors.cer > 0.8


def test_with_the_audio_swapped_it_is_lost(toy_run, toy_corpus, tmp_path):
    assert evaluate(toy_run, toy_corpus["test"], out=tmp_path, swap_audio=True).score.cer > 0.8


def test_greedy_and_beam_agree_on_clear_speech(toy_run, toy_corpus, tmp_path):
    cers = []
    for beam in (1, 4):
        decoding = Decoding(toy_run, {"beam": beam})
        cers.append(evaluate(decoding, toy_corpus["test"], out=tmp_path / str(beam)).score.cer)
    assert abs(cers[0] - cers[1]) < 0.02
