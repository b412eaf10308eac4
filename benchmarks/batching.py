"""How much faster 32 utterances are decoded as batches than one by one: search alone, and the whole run.

    python benchmarks/batching.py

Random weights (12 + 6 layers, width 256, feed-forward 2048, 4,232 tokens, 30 M parameters), utterances of 3–15 s of noise with
4 tokens a second, beam 5, one thread, both ways in turn.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import torch  # noqa: E402

from asr.decoding.decode_config import DecodeConfig  # noqa: E402
from asr.decoding.search import beam_search  # noqa: E402
from asr.features.fbank import FeatureConfig  # noqa: E402
from asr.model.decoder import DecoderConfig  # noqa: E402
from asr.model.encoder import EncoderConfig  # noqa: E402
from asr.model.inference import ready_to_decode  # noqa: E402
from asr.model.model import ModelConfig, SpeechModel  # noqa: E402
from asr.recognition.encoding import encode  # noqa: E402
from asr.recognition.listening import NetworkScorer  # noqa: E402
from asr.text.tokenizer import TokenTable  # noqa: E402

RATE, TOKENS_PER_SECOND = 16000, 4


def build() -> tuple[SpeechModel, TokenTable]:
    """The model and its table; eos never comes, so that every utterance takes as many steps as its length says."""
    torch.manual_seed(0)
    encoder, decoder = EncoderConfig(layers=12, width=256, heads=4), DecoderConfig(layers=6, heads=4)
    model = SpeechModel(FeatureConfig(), ModelConfig(encoder=encoder, decoder=decoder), 4232).eval()
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *(chr(0x4E00 + n) for n in range(4228))])
    with torch.no_grad():
        model.decoder.out.bias[table.eos] = -1e4
    ready_to_decode(model)
    return model, table


@torch.inference_mode()
def run(model: SpeechModel, table: TokenTable, batches: list[list[float]], config: DecodeConfig) -> tuple[float, float]:
    """Seconds of (encoder, search) for batches of utterances of these lengths in seconds."""
    encoding = searching = 0.0
    for batch in batches:
        utterances = [0.1 * torch.randn(int(seconds * RATE)).numpy() for seconds in batch]
        started = time.perf_counter()
        memory = encode(model, utterances)
        encoded = time.perf_counter()
        steps = [int(TOKENS_PER_SECOND * seconds) for seconds in batch]
        beam_search(NetworkScorer(model, memory, table), config, steps)
        encoding, searching = encoding + encoded - started, searching + time.perf_counter() - encoded
    return encoding, searching


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="turns of both ways (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="utterances in a batch, sorted by length")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, table = build()
    config = DecodeConfig(beam=5, stop_loops=False)
    lengths = [3 + 12 * n / 31 for n in range(31, -1, -1)]
    ways = {
        "one by one": [[seconds] for seconds in lengths],
        "batches": [lengths[first : first + options.batch] for first in range(0, len(lengths), options.batch)],
    }
    run(model, table, [[3.0]], config)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, batches in ways.items():
            times[name].append(run(model, table, batches, config))
    medians = {}
    for name, found in times.items():
        encoder, search = (statistics.median(column) for column in zip(*found, strict=True))
        medians[name] = search, encoder + search
        print(f"{name:11} encoder {encoder:6.2f} s   search {search:6.2f} s   both {encoder + search:6.2f} s")
    search, whole = (a / b for a, b in zip(medians["one by one"], medians["batches"], strict=True))
    print(f"search {search:.2f} x as fast, the whole run {whole:.2f} x ({sum(lengths):.0f} s of audio)")


if __name__ == "__main__":
    main()
