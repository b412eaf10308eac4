"""Train the network of `--punctuate` and `asr punctuate`.

    python recipes/punctuation/train.py FOLDER --out exp/punctuation

FOLDER holds files of punctuated Mandarin, one paragraph, utterance or sentence a line, in the order of their sources,
and dev.txt, which chooses the weights and what is added to the score of each mark. The seed is fixed. Stopped, the same
command goes on behind the last whole epoch; --epochs may be another then, what else it is given may not.
"""

import argparse
import copy
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import DEV, Line, encoded, read_lines, training_texts, vocabulary_of
from evaluation import Counts, counted
from meaning import MAP, OWN, give_meaning, plain, words_of
from numpy.random import Generator
from simulation import Homophones, simulated_pauses, with_errors
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parametrize

from asr.errors import AsrError, CheckpointError
from asr.files import atomic_write
from asr.foreign_bytes import reading
from asr.punctuation.batches import NO_TAG, Batch, batch_of
from asr.punctuation.features import Array, Vocabulary, inputs
from asr.punctuation.marks import MARKS
from asr.punctuation.network import Tagger
from asr.punctuation.storage import save_punctuator

SEED = 1
LONGEST, PLACES = 240, 6000
"""Units of a joined text, and places of a batch."""
ALONE, ERRED, TIMED = 0.75, 0.4, 0.5
"""Shares of the texts that are a line alone, that have errors, that have pauses."""
MOST_ERRORS, ERRORS = 0.22, 0.15
"""Share of the units that are wrong: at most where there are errors, and where the development set is looked at with some."""
EPOCHS, TWICE, DROPOUT, RATE, WARM_UP = 8, 6, 0.15, 2e-3, 300
OWN_RATE = 0.3
"""Of the rate, for what a row learns beside its meaning."""
DECAY, FORGOTTEN = 0.05, 0.4
"""Decay of the weights, and of the rows of tables, which know pairs and triples that hardly come again."""
PADDED = 1.03
"""Places of a batch, padding and edges included, to its units."""
AVERAGE = 0.998
"""Of the weights, from step to step: what is kept of the old average."""
SHIFTS = np.arange(-0.8, 0.81, 0.1)
"""What may be added to the score of a tag."""
MEAN_COUNTS = 0.1
"""How much the mean F1 of the marks counts beside that of all when those are chosen."""
RARE_MARK = MARKS.index("！")
SAID_EVERY = 50
BEGUN_WITH = "begun with"
"""In a state: what the run was begun with."""
NO_STATE = "is no state of this recipe"


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
        texts.append((inputs(line.ids, line.codes, vocabulary, pauses), line.tags))
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
        ready = (batch_of([inputs(line.ids, line.codes, vocabulary)]) for line in lines)
        return [network(batch.fields, batch.real)[0, 1:-1].numpy() for batch in ready]


def judged(scores: list[Array], lines: list[Line], bias: Array) -> Counts:
    return counted([(each + bias).argmax(-1) for each in scores], [line.tags for line in lines])


def best_bias(scores: list[Array], lines: list[Line]) -> Array:
    """What is added to the score of each tag for the best F1; nothing to that of ！, which is too rare to tell."""
    chosen = np.zeros(len(MARKS) + 1)
    for _ in range(2):
        for i in set(range(len(chosen))) - {RARE_MARK + 1}:
            tries = [chosen + np.eye(len(chosen))[i] * shift for shift in SHIFTS]
            chosen = max(tries, key=lambda bias: worth(judged(scores, lines, bias)))
    return chosen.round(2)


def worth(counts: Counts) -> float:
    """Micro F1 and, so that 、 is not given up for the many ，, a little of the mean of the marks."""
    return counts.micro + MEAN_COUNTS * float(np.mean(np.delete(counts.each, RARE_MARK)))


def loss_of(views: list[Tensor], tags: Tensor) -> Tensor:
    """Cross entropy of logarithms of probabilities (N, tags), and how far two views are from each other (R-Drop, Liang et al.,
    2021): half of the divergence of each from the other."""
    loss = torch.stack([F.nll_loss(view, tags) for view in views]).mean()
    if len(views) == 2:
        one, other = views
        loss = loss + ((one.exp() - other.exp()) * (one - other)).sum(-1).mean() / 2
    return loss


class Training:
    """Network, average and optimizer, and how far they are."""

    def __init__(self, vocabulary: Vocabulary, steps: int, random: Generator, words: Path | None = None):
        torch.manual_seed(SEED)
        self.steps, self.random = steps, random
        self.network = Tagger(len(vocabulary.sound_of), max(vocabulary.sounds) + 1, len(vocabulary.words), DROPOUT)
        if words:
            give_meaning(self.network, vocabulary, words)
        self.average = copy.deepcopy(self.network)
        named = list(self.network.named_parameters())
        own = {"params": [p for name, p in named if name.endswith(OWN)], "weight_decay": FORGOTTEN, "part": OWN_RATE}
        tables = {"params": [p for name, p in named if name.startswith("tables") and not name.endswith((OWN, MAP))]}
        others = {
            "params": [p for name, p in named if not name.startswith("tables") or name.endswith(MAP)],
            "part": 1.0,
        }
        groups = [own, tables | {"weight_decay": FORGOTTEN, "part": 1.0}, others]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], RATE, weight_decay=DECAY, fused=True)
        self.step, self.epoch, self.best = 0, 0, 0.0

    def learn(self, batch: Batch, twice: bool = False) -> float:
        """One step; its loss. twice: the batch is seen twice, with other things dropped, and the two are to say the same."""
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = group["part"] * RATE * min(self.step / WARM_UP, max(0.01, 1 - self.step / max(1, self.steps)))
        with torch.autocast("cpu", dtype=torch.bfloat16), parametrize.cached():
            views = [self.network(batch.fields, batch.real).float() for _ in range(1 + twice)]
        judged_here = batch.tags != NO_TAG
        loss = loss_of([F.log_softmax(view[judged_here], -1) for view in views], batch.tags[judged_here])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        new = 1 - min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), new)
        return loss.item()

    def save(self, path: Path, begun_with: Mapping[str, str]) -> None:
        """begun_with: what must be the same for the run to go on."""
        state = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        state |= {"step": self.step, "epoch": self.epoch, "best": self.best, "torch": torch.get_rng_state()}
        state |= {"random": self.random.bit_generator.state, BEGUN_WITH: dict(begun_with)}
        with atomic_write(path, "wb") as file:
            torch.save(state, file)

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.epoch, self.best = state["step"], state["epoch"], state["best"]
        self.random.bit_generator.state = state["random"]
        torch.set_rng_state(state["torch"])


def saved_state(path: Path, given: Mapping[str, str]) -> dict[str, Any] | None:
    """What a run has saved, if it has. Raises CheckpointError where it was begun with something else, or is none of ours."""
    if not path.exists():
        return None
    with reading(path, CheckpointError, NO_STATE, f"delete it to begin anew: {path}"):
        state = torch.load(path, weights_only=True)
        refuse_others(path, state.get(BEGUN_WITH, given), given)  # older ones do not say it
    return state


def begun_with(texts: list[list[str]], dev: list[str], words: Path | None, twice: int) -> dict[str, str]:
    """What must be the same for a run to go on, by the names of options; of files what is in them, not where they are."""
    lines = json.dumps([texts, dev], ensure_ascii=False).encode()
    return {
        "--twice": str(twice),
        "--words": "not given" if words is None else known_by(words.read_bytes()),
        "what is in FOLDER": known_by(lines),
    }


def known_by(data: bytes) -> str:
    return f"SHA-256 {hashlib.sha256(data).hexdigest()[:12]}…"


def refuse_others(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raises CheckpointError where the run of a state was begun with something else, and says with what."""
    differing = [f"{name} was {before[name]} and is {value}" for name, value in now.items() if before[name] != value]
    if differing:
        raise CheckpointError(
            f"{path.parent}: was begun with other options: {'; '.join(differing)}. Use another --out, or delete {path} to begin"
            " anew"
        )


def train(folder: Path, out: Path, epochs: int, *, words: Path | None = None, twice: int = TWICE) -> None:
    """Writes the weights with the best micro F1 on the development set to `out`.

    words: a file of words.py. twice: the last epochs, in which each batch is seen twice.
    """
    out.mkdir(parents=True, exist_ok=True)
    texts, dev_lines, state = training_texts(folder), read_lines(folder / DEV), out / "state.pt"
    given = begun_with(texts, dev_lines, words, twice)
    saved = saved_state(state, given)
    vocabulary = vocabulary_of((line for lines in texts for line in lines), words_of(words))
    files = [encoded(vocabulary, lines) for lines in texts]
    homophones = Homophones(vocabulary, np.random.default_rng(SEED))
    dev = encoded(vocabulary, dev_lines)
    erred = [with_errors(line, ERRORS, homophones, vocabulary) for line in dev]
    units = sum(len(line.ids) for lines in files for line in lines)
    training = Training(vocabulary, int(epochs * units * PADDED / PLACES), homophones.random, words)
    known = f"{len(vocabulary.characters):,} characters, {len(vocabulary.words):,} words"
    print(f"{units:,} units, {known}, {training.steps:,} steps", flush=True)
    if saved:
        with reading(state, CheckpointError, NO_STATE, f"delete it to begin anew: {state}"):
            training.restore(saved)
        print(f"goes on behind epoch {training.epoch} of {epochs}", flush=True)
    while training.epoch < epochs:
        began, losses = time.monotonic(), []
        training.network.train()
        for batch in batches(files, vocabulary, homophones):
            losses.append(training.learn(batch, training.epoch >= epochs - twice))
            if training.step % SAID_EVERY == 0:
                print(f"step {training.step} loss {np.mean(losses):.4f} {time.monotonic() - began:.0f} s", flush=True)
        training.epoch += 1
        network = plain(training.average)
        scores = scores_of(network, dev, vocabulary)
        bias = best_bias(scores, dev)
        clean = judged(scores, dev, bias)
        wrong = judged(scores_of(network, erred, vocabulary), erred, bias)
        print(f"epoch {training.epoch}: clean {clean.row()}, with errors {wrong.row()}", flush=True)
        if clean.micro > training.best:
            training.best = clean.micro
            save_punctuator(out, network, vocabulary, bias.tolist())
        training.save(state, given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="files of punctuated text, and dev.txt")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--words", type=Path, help="of words.py: what a language model knows of them")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="over all of the text (default: %(default)s)")
    twice = "the last epochs, in which a text is seen twice and is to get the same marks (default: %(default)s)"
    parser.add_argument("--twice", type=int, default=TWICE, help=twice)
    options = parser.parse_args()
    try:
        train(options.folder, options.out, options.epochs, words=options.words, twice=options.twice)
    except (AsrError, OSError) as error:
        sys.exit(f"train.py: {error}")


if __name__ == "__main__":
    main()
