"""SpeechBrain's TransformerASR with S2STransformerBeamSearcher, on random weights."""

import sys

import torchaudio_stub  # noqa: F401

here = sys.path.pop(0)  # this folder, whose files have the toolkits' names
import torch  # noqa: E402
from speechbrain.decoders import S2STransformerBeamSearcher  # noqa: E402
from speechbrain.lobes.models.transformer.TransformerASR import TransformerASR  # noqa: E402
from speechbrain.nnet.linear import Linear  # noqa: E402

sys.path.insert(0, here)
from waiting import FEED_FORWARD, FRAMES, HEADS, LAYERS, STEPS, VOCABULARY, WIDTH, serve  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
model = TransformerASR(VOCABULARY, 640, WIDTH, HEADS, 1, LAYERS, FEED_FORWARD, normalize_before=True).eval()
out = Linear(input_size=WIDTH, n_neurons=VOCABULARY).eval()
with torch.no_grad():
    out.w.bias[2] = -1e4  # never ends: exactly STEPS steps
searcher = S2STransformerBeamSearcher(
    modules=[model, out],
    bos_index=1,
    eos_index=2,
    min_decode_ratio=0.0,
    max_decode_ratio=STEPS / FRAMES,
    beam_size=int(sys.argv[1]),
    using_eos_threshold=False,
)
memory = torch.randn(1, FRAMES, WIDTH)


@torch.inference_mode()
def search() -> None:
    hypotheses, *_ = searcher(memory, torch.ones(1))
    assert len(hypotheses[0]) in (STEPS - 1, STEPS), len(hypotheses[0])


serve(search)
