"""Hugging Face's speech-to-text decoder (Speech2Text) with `generate`, on random weights."""

import sys

here = sys.path.pop(0)  # this folder, whose files have the toolkits' names
import torch  # noqa: E402
from transformers import Speech2TextConfig, Speech2TextForConditionalGeneration  # noqa: E402
from transformers.modeling_outputs import BaseModelOutput  # noqa: E402

sys.path.insert(0, here)
from waiting import FEED_FORWARD, FRAMES, HEADS, LAYERS, STEPS, VOCABULARY, WIDTH, serve  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
config = Speech2TextConfig(
    vocab_size=VOCABULARY,
    d_model=WIDTH,
    encoder_layers=1,
    encoder_attention_heads=HEADS,
    encoder_ffn_dim=FEED_FORWARD,
    decoder_layers=LAYERS,
    decoder_attention_heads=HEADS,
    decoder_ffn_dim=FEED_FORWARD,
)
model = Speech2TextForConditionalGeneration(config).eval()
memory = torch.randn(1, FRAMES, WIDTH)


@torch.inference_mode()
def search() -> None:
    outputs = BaseModelOutput(last_hidden_state=memory)  # a new one: generate repeats it in place for its beams
    tokens = model.generate(
        encoder_outputs=outputs, num_beams=int(sys.argv[1]), do_sample=False, min_new_tokens=STEPS, max_new_tokens=STEPS
    )
    assert tokens.shape[1] == STEPS + 1


serve(search)
