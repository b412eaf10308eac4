"""FireRedASR's decoder with `batch_beam_search`, on random weights; its feed-forward made as wide as everybody's."""

import sys

here = sys.path.pop(0)  # this folder, whose files have the toolkits' names
import torch  # noqa: E402
from fireredasr.models.module.transformer_decoder import TransformerDecoder  # noqa: E402

sys.path.insert(0, here)
from waiting import FEED_FORWARD, FRAMES, HEADS, LAYERS, STEPS, VOCABULARY, WIDTH, serve  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
decoder = TransformerDecoder(3, 4, 2, VOCABULARY, LAYERS, HEADS, WIDTH, 0.1, 5000).eval()
for layer in decoder.layer_stack:
    layer.mlp.w_1 = torch.nn.Linear(WIDTH, FEED_FORWARD)
    layer.mlp.w_2 = torch.nn.Linear(FEED_FORWARD, WIDTH)
memory, mask = torch.randn(1, FRAMES, WIDTH), torch.ones(1, 1, FRAMES, dtype=torch.uint8)


@torch.inference_mode()
def search() -> None:
    # eos_penalty divides nothing away: random weights hardly ever end before STEPS
    decoder.batch_beam_search(memory, mask, beam_size=int(sys.argv[1]), decode_max_len=STEPS)


serve(search)
