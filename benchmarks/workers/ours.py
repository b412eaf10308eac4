"""Our beam search on random weights."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from waiting import FEED_FORWARD, FRAMES, HEADS, LAYERS, STEPS, VOCABULARY, WIDTH, serve  # noqa: E402

from asr.decoding.decode_config import DecodeConfig  # noqa: E402
from asr.decoding.search import beam_search  # noqa: E402
from asr.features.fbank import FeatureConfig  # noqa: E402
from asr.model.decoder import DecoderConfig  # noqa: E402
from asr.model.encoder import EncoderConfig  # noqa: E402
from asr.model.inference import ready_to_decode  # noqa: E402
from asr.model.model import Memory, ModelConfig, SpeechModel  # noqa: E402
from asr.recognition.listening import NetworkScorer  # noqa: E402
from asr.text.tokenizer import TokenTable  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
encoder = EncoderConfig(layers=1, width=WIDTH, heads=HEADS, feed_forward=FEED_FORWARD)
decoder = DecoderConfig(layers=LAYERS, heads=HEADS, feed_forward=FEED_FORWARD)
model = SpeechModel(FeatureConfig(), ModelConfig(encoder=encoder, decoder=decoder), VOCABULARY).eval()
table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *(chr(0x4E00 + n) for n in range(VOCABULARY - 4))])
with torch.no_grad():
    model.decoder.out.bias[table.eos] = -1e4  # never ends: exactly STEPS steps
model = ready_to_decode(model, sys.argv[2] if len(sys.argv) > 2 else "none", int(sys.argv[1]) == 1)
frames = torch.randn(1, FRAMES, WIDTH)
memory = Memory(frames, torch.tensor([FRAMES]), frames)
config = DecodeConfig(beam=int(sys.argv[1]), stop_loops=False)


@torch.inference_mode()
def search() -> None:
    [nbest] = beam_search(NetworkScorer(model, memory, table), config, [STEPS - 1])
    assert len(nbest[0].tokens) == STEPS - 1  # the last step could only have added eos


serve(search)
