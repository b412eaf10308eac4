"""Train the tagger of `--punctuate model` and `asr punctuate`.

    python recipes/punctuation/train.py FOLDER --out exp/punctuation

FOLDER holds files of punctuated Mandarin, one paragraph, utterance or sentence a line, in the order of their sources,
and dev.txt, which chooses the weights and their thresholds. The seed is fixed. Stopped, it goes on from the last epoch.
"""

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from corpus import DEV, Line, encoded, read_lines, training_texts, vocabulary_of
from numpy.random import Generator
from simulation import Homophones, simulated_pauses, with_errors
from torch.nn import functional as F

from asr.punctuation.batches import Batch, batch_of
from asr.punctuation.features import Vocabulary, inputs
from asr.punctuation.marks import MARKS
from asr.punctuation.network import Tagger
from asr.punctuation.storage import save_punctuator

SEED = 1
LONGEST, PLACES = 240, 6000
"""Units of a joined text, and places of a batch."""
ALONE, ERRED, TIMED = 0.75, 0.4, 0.3
"""Shares of the texts that are a line alone, that have errors, that have pauses."""
MOST_ERRORS = 0.22
DROPOUT, RATE, WARM_UP, DECAY = 0.1, 2e-3, 300, 0.05
AVERAGE = 0.998
"""Of the weights, from step to step: what is kept of the old average."""


def texts_of_epoch(files: list[list[Line]], random: Generator) -> Iterator[list[Line]]:
    """Each line once: by itself, or with those behind it as one text."""
    for lines in files:
        at = 0
        while at < len(lines):
            end, length = at + 1, len(lines[at].ids)
            if random.random() > ALONE:
                most = random.integers(LONGEST // 4, LONGEST)
                while end < len(lines) and length + len(lines[end].ids) <= most:
                    length += len(lines[end].ids)
                    end += 1
            yield lines[at:end]
            at = end


def joined(lines: list[Line]) -> Line:
    return Line(*(np.concatenate([getattr(line, name) for line in lines]) for name in ("ids", "codes", "tags")))


def batches(files: list[list[Line]], vocabulary: Vocabulary, homophones: Homophones) -> Iterator[Batch]:
    """One epoch, in batches of texts of about the same length, in random order."""
    random = homophones.random
    texts = []
    for lines in texts_of_epoch(files, random):
        line = joined(lines)
        if random.random() < ERRED:
            line = with_errors(line, MOST_ERRORS * random.random(), homophones, vocabulary)
        pauses = simulated_pauses(line.tags, random) if random.random() < TIMED else None
        texts.append((inputs(line.ids, line.codes, vocabulary.sound_of, pauses), line.tags))
    texts.sort(key=lambda text: len(text[1]) + 4 * random.random())
    groups: list[list] = [[]]
    for text in texts:
        if (len(groups[-1]) + 1) * (len(text[1]) + 2) > PLACES and groups[-1]:
            groups.append([])
        groups[-1].append(text)
    for i in random.permutation(len(groups)):
        yield batch_of([text for text, _ in groups[i]], [tags for _, tags in groups[i]])


def loss_of(model: Tagger, batch: Batch) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(batch.fields, batch.real)
    return F.cross_entropy(logits.float().flatten(0, 1), batch.tags.flatten(), ignore_index=-1)


def chosen_thresholds(model: Tagger, lines: list[Line], vocabulary: Vocabulary) -> tuple[list[float], str]:
    """What is added to the score of each tag: what gives the best micro F1 on clean lines and on lines with errors."""
    logits, tags = scores_of(model, lines, vocabulary)
    bias = np.zeros(len(MARKS) + 1)
    for _ in range(2):
        for i in range(len(bias) - 1):  # the last mark is rare: it has its own in the end
            tries = [bias + np.eye(len(bias))[i] * step for step in np.arange(-0.8, 0.81, 0.1)]
            bias = max(tries, key=lambda each: micro(logits + each, tags))
    return [round(float(value), 2) for value in bias], per_mark(logits + bias, tags)


def scores_of(model: Tagger, lines: list[Line], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    model.eval()
    rows, tags = [], []
    with torch.inference_mode():
        for line in lines:
            batch = batch_of([inputs(line.ids, line.codes, vocabulary.sound_of)])
            rows.append(model(batch.fields, batch.real)[0, 1:-1].numpy())
            tags.append(line.tags)
    return np.concatenate(rows), np.concatenate(tags)


def micro(logits: np.ndarray, tags: np.ndarray) -> float:
    found = logits.argmax(-1)
    right = ((found == tags) & (tags > 0)).sum()
    return 2 * right / max(1, (found > 0).sum() + (tags > 0).sum())


def per_mark(logits: np.ndarray, tags: np.ndarray) -> str:
    found = logits.argmax(-1)
    figures = [f"micro {micro(logits, tags):.4f}"]
    for i, mark in enumerate(MARKS, start=1):
        right = ((found == i) & (tags == i)).sum()
        figures.append(f"{mark}{2 * right / max(1, (found == i).sum() + (tags == i).sum()):.3f}")
    return " ".join(figures)


def train(folder: Path, out: Path, epochs: int) -> None:
    """Writes the weights with the best micro F1 on the development set to `out`."""
    torch.manual_seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    texts = training_texts(folder)
    vocabulary = vocabulary_of(line for lines in texts for line in lines)
    files = [encoded(vocabulary, lines) for lines in texts]
    dev = encoded(vocabulary, read_lines(folder / DEV))
    homophones = Homophones(vocabulary, np.random.default_rng(SEED))
    erred = [with_errors(line, 0.15, homophones, vocabulary) for line in dev]
    model = Tagger(len(vocabulary.sound_of), max(vocabulary.sounds) + 1, DROPOUT)
    average = copy.deepcopy(model)
    tables = [parameter for name, parameter in model.named_parameters() if name.startswith("tables")]
    others = [parameter for name, parameter in model.named_parameters() if not name.startswith("tables")]
    groups = [{"params": tables, "weight_decay": 0.0}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, RATE, weight_decay=DECAY, fused=True)
    size = sum(len(line.ids) for lines in files for line in lines)
    steps = int(epochs * size * 1.03 / PLACES)
    print(f"{size} units, {len(vocabulary.characters)} characters, {steps} steps", flush=True)
    step, first, best = 0, 0, 0.0
    state = out / "state.pt"
    if state.exists():
        stored = torch.load(state, weights_only=False)
        model.load_state_dict(stored["model"])
        average.load_state_dict(stored["average"])
        optimizer.load_state_dict(stored["optimizer"])
        for g in optimizer.param_groups:
            g["fused"] = True
        step, first, best = stored["step"], stored["epoch"], stored["best"]
        homophones.random.bit_generator.state = stored["random"]
        torch.set_rng_state(stored["torch"])
    for epoch in range(first, epochs):
        began, total, count = time.monotonic(), 0.0, 0
        model.train()
        for batch in batches(files, vocabulary, homophones):
            step += 1
            rate = RATE * min(step / WARM_UP, max(0.01, 1 - step / steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = loss_of(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            kept = min(AVERAGE, step / (step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - kept)
            total, count = total + loss.item(), count + 1
            if step % 50 == 0:
                print(f"step {step} loss {total / count:.4f} {time.monotonic() - began:.0f} s", flush=True)
        bias, figures = chosen_thresholds(average, dev, vocabulary)
        logits, tags = scores_of(average, erred, vocabulary)
        print(
            f"epoch {epoch + 1} loss {total / count:.4f} {time.monotonic() - began:.0f} s; clean {figures}; "
            f"errors {per_mark(logits + np.array(bias), tags)}",
            flush=True,
        )
        value = micro(scores_of(average, dev, vocabulary)[0] + np.array(bias), scores_of(average, dev, vocabulary)[1])
        if value > best:
            best = value
            save_punctuator(out, average, vocabulary, bias)
        new = state.with_suffix(".new")
        torch.save(
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "epoch": epoch + 1,
                "best": best,
                "random": homophones.random.bit_generator.state,
                "torch": torch.get_rng_state(),
            },
            new,
        )
        new.replace(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=7)
    options = parser.parse_args()
    train(options.folder, options.out, options.epochs)


if __name__ == "__main__":
    main()
