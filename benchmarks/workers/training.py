"""Some steps of training by one program: `python training.py PROGRAM SETTINGS`, as benchmarks/training.py starts it.

PROGRAM: ours or speechbrain; SETTINGS: JSON. Prints JSON: seconds of audio that was learnt in the steps that count, seconds on
the clock, shares of padding and of waiting for data, operations of all matrix products, and the most memory that was taken, in
MB. Where there are several processes, the first is asked. With `profile` also shares of the time: of the parts of a step, in
the steps that count, and of kinds of operators, as PyTorch's profiler has them, in as many steps behind them.
"""

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).parent
CHANNELS = 64
"""Of the convolutions in front of the encoder."""

KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "PyTorch's attention": ("_scaled_dot_product_flash_attention",),
    "convolutions": ("convolution",),
    "softmax": ("_softmax", "_log_softmax"),
    "norms": ("native_layer_norm", "native_batch_norm"),
    "activations": ("clamp_min", "relu", "gelu", "silu", "threshold"),
    "products by element, dropout": ("mul", "div", "native_dropout", "bernoulli_", "uniform_"),
    "sums": ("add", "add_", "sum"),
    "casts and copies": ("copy_", "cat"),
    "optimizer and norm of the gradient": ("_fused_adamw_", "_foreach", "linalg_vector_norm", "addcdiv_", "lerp_"),
}
"""What kinds of operators there are, and how their names begin or, for one of a backward pass, go on."""
REST = "Python, autograd, waiting"


class Parts:
    """How long the parts of a step take; of parts within parts, each moment counts for the innermost."""

    def __init__(self):
        self.seconds: Counter[str] = Counter()
        self.within, self.since = [REST], time.perf_counter()

    def _until_now(self) -> None:
        now = time.perf_counter()
        self.seconds[self.within[-1]] += now - self.since
        self.since = now

    def restart(self) -> None:
        """Forgets what was counted so far."""
        self._until_now()
        self.seconds.clear()

    def shares(self) -> dict[str, float]:
        """What was counted so far, longest first."""
        self._until_now()
        return shares(self.seconds)

    def watch(self, part: str, owner: Any, name: str) -> None:
        """From now on the owner's function of this name is that part."""
        function = getattr(owner, name)

        def watched(*given, **named):
            self._until_now()
            self.within.append(part)
            try:
                return function(*given, **named)
            finally:
                self._until_now()
                self.within.pop()

        setattr(owner, name, watched)


def shares(seconds: Counter[str]) -> dict[str, float]:
    """Of their sum, largest first."""
    return {name: value / seconds.total() for name, value in seconds.most_common()}


def shares_of_kinds(profiler: profile, seconds: float) -> dict[str, float]:
    """Of so many seconds on the clock, what operators of each kind took."""
    found: Counter[str] = Counter()
    for event in profiler.key_averages():
        if event.key.startswith("aten::"):
            found[kind_of(event.key.removeprefix("aten::"))] += event.self_cpu_time_total / 1e6
    found[REST] = max(0.0, seconds - found.total())
    return shares(found)


def kind_of(operator: str) -> str:
    """The kind of an operator by its name: `mm`, `threshold_backward`."""
    operator = operator.removeprefix("mkldnn_")
    for kind, names in KINDS.items():
        if operator in names or operator.startswith(tuple(f"{name}_" for name in names)):
            return kind
    return "other operators"


class Counts:
    """What is counted, in the first process, of the steps behind those that warm up; these say what a padded frame costs."""

    def __init__(self, warm: int, steps: int, profiles: bool = False):
        self.warm, self.steps, self.counter = warm, steps, FlopCounterMode(display=False)
        self.parts, self.profiler = Parts(), profile(activities=[ProfilerActivity.CPU]) if profiles else None
        self.waited = self.seconds = 0.0
        self.real = self.padded = 0
        self.counter.__enter__()

    @property
    def all_steps(self) -> int:
        """Those that count or do not."""
        return self.warm + self.steps * (2 if self.profiler else 1)

    def watch(self, part: str, owner: Any, name: str) -> None:
        """A function is a part of a step, if these are asked for."""
        if self.profiler:
            self.parts.watch(part, owner, name)

    def waiting(self, batches: Iterator) -> Iterator:
        """The same batches; how long they were waited for is counted."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def frames(self, real: int, padded: int) -> None:
        """So many frames go into the network, without padding and with it."""
        self.real, self.padded = self.real + real, self.padded + padded

    def step(self, step: int) -> None:
        """Step 1, 2, … has been taken."""
        if step == self.warm:
            self.counter.__exit__(None, None, None)
            self.operations = self.counter.get_total_flops() / self.padded
            self.waited, self.real, self.padded = 0.0, 0, 0
            self.parts.restart()
            self.started = time.perf_counter()
        elif step == self.warm + self.steps:
            self.seconds = time.perf_counter() - self.started
            self.found = {
                "seconds": self.seconds,
                "waiting": self.waited / self.seconds,
                "padding": 1 - self.real / self.padded,
                "operations": self.operations * self.padded,
            }
            if self.profiler:
                self.found["parts"] = self.parts.shares()
                self.profiler.start()
                self.started = time.perf_counter()
        elif self.profiler and step == self.all_steps:
            seconds = time.perf_counter() - self.started
            self.profiler.stop()
            self.found["kinds"] = shares_of_kinds(self.profiler, seconds)

    def print(self, audio: float, processes: int = 1) -> None:
        """audio: seconds that all processes have learnt meanwhile."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1024)
        if torch.cuda.is_available():
            memory = torch.cuda.max_memory_allocated() / 2**20
        self.found["operations"] *= processes
        print(json.dumps(self.found | {"audio": audio, "memory": memory}), flush=True)


def ours(settings: dict, counts: Counts) -> None:
    """`asr train` as a call."""
    sys.path.insert(0, str(HERE.parents[1]))
    from asr.config_values import from_dict
    from asr.corpus.batching import BatchReader
    from asr.model.encoder import Encoder
    from asr.model.model import SpeechModel
    from asr.model.subsampling import Subsampling
    from asr.training import gradients, objective, step
    from asr.training.config import Config
    from asr.training.display import Lines
    from asr.training.distributed import Ranks
    from asr.training.loop import train

    class Steps(Lines):
        def step(self, step: int, text: str) -> None:
            counts.step(step)

    read, encode = BatchReader.iterate, SpeechModel.encode_features

    def encoded(model, features, lengths):
        counts.frames(int(lengths.sum()), features.shape[0] * features.shape[1])
        return encode(model, features, lengths)

    BatchReader.iterate = lambda *given, **named: counts.waiting(read(*given, **named))
    SpeechModel.encode_features = encoded
    counts.watch("reading", BatchReader, "__getitem__")
    counts.watch("features, their augmentation", objective, "augmented_features")
    counts.watch("subsampling", Subsampling, "forward")
    counts.watch("encoder", Encoder, "forward")
    counts.watch("decoder", SpeechModel, "decode_teacher_forced")
    counts.watch("losses", gradients, "losses_of")
    counts.watch("gradients of all processes", Ranks, "add_up_gradients")
    counts.watch("norm of the gradient", step, "_clipped")
    watch_pytorch(counts)
    recipe = from_dict(Config, settings["recipe"], "")
    run = train(recipe, Path(settings["folder"]) / "run", force=True, display=Steps())
    logged = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    hours = {line["step"]: line["hours"] for line in logged if "hours" in line}
    counts.print(3600 * (hours[counts.warm + counts.steps] - hours[counts.warm]), recipe.train.processes)


def watch_pytorch(counts: Counts) -> None:
    """Parts that are PyTorch's in every program."""
    counts.watch("backward", torch.Tensor, "backward")
    counts.watch("optimizer", torch.optim.AdamW, "step")


def speechbrain(settings: dict, counts: Counts) -> None:
    """Its Brain, features, front end, Transformer, batches and loss; the optimizer is PyTorch's."""
    sys.path.insert(0, str(HERE))
    import torchaudio_stub  # noqa: F401

    sys.path.pop(0)  # the files of this folder have the names of toolkits
    import speechbrain as sb

    class Training(sb.Brain):
        def compute_forward(self, batch, stage):
            samples, lengths = batch.samples
            features = self.modules.normalize(self.modules.fbank(samples), lengths)
            counts.frames(round(float(lengths.sum()) * features.shape[1]), features.shape[0] * features.shape[1])
            _, found = self.modules.network(self.modules.front(features), batch.inputs.data, lengths, pad_idx=0)
            return self.modules.out(found).log_softmax(-1)

        def compute_objectives(self, found, batch, stage):
            targets, lengths = batch.targets
            return sb.nnet.losses.kldiv_loss(found, targets, length=lengths, label_smoothing=0.1, pad_idx=0)

    train = settings["recipe"]["train"]
    precision = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}[train["precision"]]
    options = {"device": train["device"], "precision": precision}
    modules = speechbrain_modules(settings["recipe"]["model"], settings["vocabulary"])
    brain = Training(modules, lambda parameters: torch.optim.AdamW(parameters, 1e-4), run_opts=options)
    brain.on_fit_start()
    brain.modules.train()
    data = settings["recipe"]["data"]
    loader = speechbrain_batches(Path(data["train"][0]), data["batch_seconds"])
    counts.watch("features, their augmentation", modules["fbank"], "forward")
    counts.watch("subsampling", modules["front"], "forward")
    counts.watch("encoder", modules["network"].encoder, "forward")
    counts.watch("decoder", modules["network"], "forward")
    counts.watch("losses", brain, "compute_objectives")
    counts.watch("norm of the gradient", torch.nn.utils, "clip_grad_norm_")
    watch_pytorch(counts)

    batches, samples = counts.waiting(batch for _ in iter(int, 1) for batch in loader), 0.0
    for step in range(1, counts.all_steps + 1):
        batch = next(batches).to(brain.device)
        if counts.warm < step <= counts.warm + counts.steps:
            samples += float(batch.samples.lengths.sum()) * batch.samples.data.shape[1]
        brain.step += 1
        brain.fit_batch(batch)
        counts.step(step)
    counts.print(samples / 16000)


def speechbrain_modules(model: dict, vocabulary: int) -> dict[str, torch.nn.Module]:
    """The network of the same sizes, as its recipes put it together."""
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
    from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR
    from speechbrain.nnet.linear import Linear
    from speechbrain.processing.features import InputNormalization

    encoder, decoder = model["encoder"], model["decoder"]
    front = ConvolutionFrontEnd(
        (8, 10, 80),
        num_blocks=2,
        num_layers_per_block=1,
        out_channels=(CHANNELS, CHANNELS),
        kernel_sizes=(3, 3),
        strides=(2, 2),
        residuals=(False, False),
    )
    network = TransformerASR(
        vocabulary,
        CHANNELS * 20,
        encoder["width"],
        encoder["heads"],
        encoder["layers"],
        decoder["layers"],
        encoder["feed_forward"],
        normalize_before=True,
        causal=False,
    )
    out = Linear(input_size=encoder["width"], n_neurons=vocabulary)
    normalize = InputNormalization(norm_type="global", update_until_epoch=4)
    return {"fbank": Fbank(n_mels=80), "normalize": normalize, "front": front, "network": network, "out": out}


def speechbrain_batches(manifest: Path, seconds: float) -> torch.utils.data.DataLoader:
    """Its batches of similar length."""
    import soundfile
    from speechbrain.dataio.batch import PaddedBatch
    from speechbrain.dataio.dataset import DynamicItemDataset
    from speechbrain.dataio.sampler import DynamicBatchSampler
    from speechbrain.utils.data_pipeline import provides, takes

    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    ids = {character: 4 + i for i, character in enumerate(sorted({c for line in lines for c in line["text"]}))}

    @takes("audio", "text")
    @provides("samples", "inputs", "targets")
    def read(audio, text):
        tokens = [ids[character] for character in text]
        yield torch.from_numpy(soundfile.read(manifest.parent / audio, dtype="float32")[0])
        yield torch.tensor([1, *tokens])
        yield torch.tensor([*tokens, 2])

    data = DynamicItemDataset({line["id"]: {k: v for k, v in line.items() if k != "id"} for line in lines})
    data.add_dynamic_item(read)
    data.set_output_keys(["id", "samples", "inputs", "targets"])
    sampler = DynamicBatchSampler(
        data, seconds, num_buckets=20, length_func=lambda line: line["duration"], shuffle=True
    )
    return torch.utils.data.DataLoader(data, batch_sampler=sampler, collate_fn=PaddedBatch)


if __name__ == "__main__":  # not in the processes that a run starts
    sys.path.pop(0)
    given = json.loads(sys.argv[2])
    torch.set_num_threads(given["threads"])
    {"ours": ours, "speechbrain": speechbrain}[sys.argv[1]](
        given, Counts(given["warm"], given["steps"], given["profile"])
    )
