"""Train the network of `--punctuate` and `asr punctuate`.

    python recipes/punctuation/train.py FOLDER --out exp/punctuation

FOLDER holds files of punctuated Mandarin, one paragraph, utterance or sentence a line, in the order of their sources,
and dev.txt, which chooses the weights and what is added to the score of each mark. The seed is fixed. Stopped, the same
command goes on behind the last whole epoch.
"""

import argparse
import copy
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from corpus import DEV, Line, encoded, read_lines, training_texts, vocabulary_of
from evaluation import Counts, counted
from numpy.random import Generator
from simulation import Homophones, simulated_pauses, with_errors
from torch.nn import functional as F

from asr.errors import AsrError
from asr.punctuation.batches import NO_TAG, Batch, batch_of
from asr.punctuation.features import Array, Vocabulary, inputs
from asr.punctuation.marks import MARKS
from asr.punctuation.network import Tagger
from asr.punctuation.storage import save_punctuator

SEED = 1
LONGEST, PLACES = 240, 6000
"""Units of a joined text, and places of a batch."""
ALONE, ERRED, TIMED = 0.75, 0.4, 0.3
"""Shares of the texts that are a line alone, that have errors, that have pauses."""
MOST_ERRORS, ERRORS = 0.22, 0.15
"""Share of the units that are wrong: at most where there are errors, and where the development set is looked at with some."""
EPOCHS, DROPOUT, RATE, WARM_UP, DECAY = 4, 0.1, 2e-3, 300, 0.05
PADDED = 1.03
"""Places of a batch, padding and edges included, to its units."""
AVERAGE = 0.998
"""Of the weights, from step to step: what is kept of the old average."""
SHIFTS = np.arange(-0.8, 0.81, 0.1)
"""What may be added to the score of a tag."""
SAID_EVERY = 50


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


def scores_of(network: Tagger, lines: list[Line], vocabulary: Vocabulary) -> list[Array]:
    """The scores of the tags of each line, (U, tags)."""
    network.eval()
    with torch.inference_mode():
        ready = (batch_of([inputs(line.ids, line.codes, vocabulary.sound_of)]) for line in lines)
        return [network(batch.fields, batch.real)[0, 1:-1].numpy() for batch in ready]


def judged(scores: list[Array], lines: list[Line], bias: Array) -> Counts:
    return counted([(each + bias).argmax(-1) for each in scores], [line.tags for line in lines])


def best_bias(scores: list[Array], lines: list[Line]) -> Array:
    """What is added to the score of each tag for the best micro F1; nothing to that of ！, which is too rare to tell."""
    chosen = np.zeros(len(MARKS) + 1)
    for _ in range(2):
        for i in set(range(len(chosen))) - {MARKS.index("！") + 1}:
            tries = [chosen + np.eye(len(chosen))[i] * shift for shift in SHIFTS]
            chosen = max(tries, key=lambda bias: judged(scores, lines, bias).micro)
    return chosen.round(2)


class Training:
    """Network, average and optimizer, and how far they are."""

    def __init__(self, vocabulary: Vocabulary, steps: int, random: Generator):
        torch.manual_seed(SEED)
        self.steps, self.random = steps, random
        self.network = Tagger(len(vocabulary.sound_of), max(vocabulary.sounds) + 1, DROPOUT)
        self.average = copy.deepcopy(self.network)
        named = list(self.network.named_parameters())
        tables = {"params": [p for name, p in named if name.startswith("tables")], "weight_decay": 0.0}
        others = {"params": [p for name, p in named if not name.startswith("tables")]}
        self.optimizer = torch.optim.AdamW([tables, others], RATE, weight_decay=DECAY, fused=True)
        self.step, self.epoch, self.best = 0, 0, 0.0

    def learn(self, batch: Batch) -> float:
        """One step; its loss."""
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(self.step / WARM_UP, max(0.01, 1 - self.step / max(1, self.steps)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(batch.fields, batch.real)
        loss = F.cross_entropy(logits.float().flatten(0, 1), batch.tags.flatten(), ignore_index=NO_TAG)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        new = 1 - min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), new)
        return loss.item()

    def save(self, path: Path) -> None:
        state = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        state |= {"step": self.step, "epoch": self.epoch, "best": self.best, "torch": torch.get_rng_state()}
        new = path.with_suffix(".new")
        torch.save(state | {"random": self.random.bit_generator.state}, new)
        new.replace(path)

    def restore(self, path: Path) -> None:
        state = torch.load(path, weights_only=False)
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.epoch, self.best = state["step"], state["epoch"], state["best"]
        self.random.bit_generator.state = state["random"]
        torch.set_rng_state(state["torch"])


def train(folder: Path, out: Path, epochs: int) -> None:
    """Writes the weights with the best micro F1 on the development set to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    texts = training_texts(folder)
    vocabulary = vocabulary_of(line for lines in texts for line in lines)
    files = [encoded(vocabulary, lines) for lines in texts]
    homophones = Homophones(vocabulary, np.random.default_rng(SEED))
    dev = encoded(vocabulary, read_lines(folder / DEV))
    erred = [with_errors(line, ERRORS, homophones, vocabulary) for line in dev]
    units = sum(len(line.ids) for lines in files for line in lines)
    training = Training(vocabulary, int(epochs * units * PADDED / PLACES), homophones.random)
    print(f"{units:,} units, {len(vocabulary.characters):,} characters, {training.steps:,} steps", flush=True)
    state = out / "state.pt"
    if state.exists():
        training.restore(state)
    while training.epoch < epochs:
        began, losses = time.monotonic(), []
        training.network.train()
        for batch in batches(files, vocabulary, homophones):
            losses.append(training.learn(batch))
            if training.step % SAID_EVERY == 0:
                print(f"step {training.step} loss {np.mean(losses):.4f} {time.monotonic() - began:.0f} s", flush=True)
        training.epoch += 1
        scores = scores_of(training.average, dev, vocabulary)
        bias = best_bias(scores, dev)
        clean = judged(scores, dev, bias)
        wrong = judged(scores_of(training.average, erred, vocabulary), erred, bias)
        print(f"epoch {training.epoch}: clean {clean.row()}, with errors {wrong.row()}", flush=True)
        if clean.micro > training.best:
            training.best = clean.micro
            save_punctuator(out, training.average, vocabulary, bias.tolist())
        training.save(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="files of punctuated text, and dev.txt")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="over all of the text (default: %(default)s)")
    options = parser.parse_args()
    try:
        train(options.folder, options.out, options.epochs)
    except (AsrError, OSError) as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    main()
