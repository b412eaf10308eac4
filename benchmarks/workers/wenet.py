"""WeNet's decoder with its own `attention_beam_search`, on random weights: `python wenet.py BEAM CHECKOUT`."""

import importlib
import sys
import types
from pathlib import Path

here = sys.path.pop(0)  # this folder, whose files have the toolkits' names
import torch  # noqa: E402

PACKAGES = ("models.transformer", "transformer")
"""Where WeNet has its decoder and its search, and where it had them."""

checkout = Path(sys.argv[2])
there = [name for name in PACKAGES if (checkout / "wenet" / name.replace(".", "/") / "search.py").is_file()]
if not there:
    raise SystemExit(f"{checkout}: no checkout of WeNet 3: it has no wenet/models/transformer/search.py")
package = types.ModuleType("wenet")  # in the place of its own, which imports what only its commands need
package.__path__ = [str(checkout / "wenet")]
sys.modules["wenet"] = package
TransformerDecoder = importlib.import_module(f"wenet.{there[0]}.decoder").TransformerDecoder
attention_beam_search = importlib.import_module(f"wenet.{there[0]}.search").attention_beam_search

sys.path.insert(0, here)
from waiting import FEED_FORWARD, FRAMES, HEADS, LAYERS, STEPS, VOCABULARY, WIDTH, serve  # noqa: E402

EOS = 2


class Enough(Exception):
    """As many steps as everybody's."""


class Counting:
    """A decoder that stops the search, which is limited by nothing but the frames, when it asks for one step too many."""

    def __init__(self, decoder: torch.nn.Module):
        self.decoder, self.steps = decoder, 0
        self.use_sdpa = getattr(decoder, "use_sdpa", False)  # the search asks for it

    def forward_one_step(self, *arguments, **more):
        if self.steps == STEPS:
            raise Enough
        self.steps += 1
        return self.decoder.forward_one_step(*arguments, **more)


torch.set_num_threads(1)
torch.manual_seed(0)
decoder = TransformerDecoder(VOCABULARY, WIDTH, HEADS, FEED_FORWARD, LAYERS).eval()
with torch.no_grad():
    decoder.output_layer.bias[EOS] = -1e4  # never ends: exactly STEPS steps
memory, mask = torch.randn(1, FRAMES, WIDTH), torch.ones(1, 1, FRAMES, dtype=torch.bool)


@torch.inference_mode()
def search() -> None:
    counting = Counting(decoder)
    try:
        attention_beam_search(types.SimpleNamespace(decoder=counting, sos=1, eos=EOS), memory, mask, int(sys.argv[1]))
    except Enough:
        return
    raise SystemExit(f"it stopped after {counting.steps} steps, not {STEPS}")


serve(search)
