"""Encoder or search of a Whisper model by one program: `python whisper.py PROGRAM PART FOLDER BEAM VARIANT [DEVICE WINDOWS]`.

PROGRAM: ours, transformers, openai or ctranslate2; PART: encoder or search; FOLDER: what benchmarks/whisper.py makes. Random
features of WINDOWS (1) times 30 s, exactly STEPS tokens; DEVICE is for ours and transformers. OpenAI's program
takes the shape alone from the folder, and random weights of its own.
"""

import json
import sys
from pathlib import Path

here = sys.path.pop(0)  # this folder, whose files have the toolkits' names
program, part, folder, beam, variant = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
device, windows = sys.argv[6:] or ("cpu", "1")
STEPS, FRAMES, MELS = 40, 3000, 80
END, PROMPT = 50257, [50258, 50260, 50359, 50363]


def ours():
    sys.path.insert(0, str(Path(here).parents[1]))
    import torch

    from asr.decoding.decode_config import DecodeConfig
    from asr.decoding.search import beam_search
    from asr.interop.importing import IMPORTERS, build
    from asr.model.inference import ready_to_decode
    from asr.recognition.listening import NetworkScorer

    torch.set_num_threads(1)
    foreign = IMPORTERS["whisper"](folder)
    model = ready_to_decode(build(foreign).to(device), variant, beam == 1)
    features = torch.randn(int(windows), FRAMES, MELS, device=device)
    lengths = torch.full((int(windows),), FRAMES, device=device)
    config = DecodeConfig(beam=beam, rule="transformers", stop_loops=False)

    @torch.inference_mode()
    def encode():
        return model.encode_features(features, lengths)

    @torch.inference_mode()
    def search(memory):
        scorer = NetworkScorer(model, memory, foreign.table, never_written=[END])
        return len(beam_search(scorer, config, [STEPS] * int(windows))[0][0].tokens)

    return encode, search


def transformers():
    import torch
    from transformers import GenerationConfig, WhisperForConditionalGeneration
    from transformers.generation.utils import GenerationMixin
    from transformers.modeling_outputs import BaseModelOutput

    torch.set_num_threads(1)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval().to(device, getattr(torch, variant))
    features = torch.randn(int(windows), MELS, FRAMES).to(device, model.dtype)
    prompt = torch.tensor([PROMPT] * int(windows), device=device)
    config = GenerationConfig(
        num_beams=beam, min_new_tokens=STEPS, max_new_tokens=STEPS, early_stopping=False, do_sample=False,
        eos_token_id=END, pad_token_id=END, decoder_start_token_id=PROMPT[0],
    )  # fmt: skip

    @torch.inference_mode()
    def encode():
        return model.model.encoder(features).last_hidden_state

    @torch.inference_mode()
    def search(memory):
        outputs = BaseModelOutput(last_hidden_state=memory)  # a new one: generate repeats it in place for its beams
        found = GenerationMixin.generate(
            model, generation_config=config, encoder_outputs=outputs, decoder_input_ids=prompt
        )
        return found.shape[1] - len(PROMPT)

    return encode, search


def openai():
    import torch
    import whisper
    from whisper.model import ModelDimensions, Whisper

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = json.loads((folder / "config.json").read_text())
    width, heads, layers = shape["d_model"], shape["encoder_attention_heads"], shape["encoder_layers"]
    sizes = (MELS, FRAMES // 2, width, heads, layers, shape["vocab_size"], shape["max_target_positions"])
    model = Whisper(ModelDimensions(*sizes, width, heads, layers)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    features = torch.randn(1, MELS, FRAMES)
    options = whisper.DecodingOptions(
        language="zh", beam_size=beam if beam > 1 else None, without_timestamps=True, suppress_tokens=str(END),
        suppress_blank=False, fp16=False, sample_len=STEPS,
    )  # fmt: skip

    @torch.inference_mode()
    def encode():
        return model.encoder(features)

    @torch.inference_mode()
    def search(memory):
        return len(whisper.decode(model, memory, options)[0].tokens)

    return encode, search


def ctranslate2():
    import ctranslate2
    import numpy as np

    converted = Path(f"{folder}-ctranslate2")
    if not converted.is_dir():
        ctranslate2.converters.TransformersConverter(str(folder)).convert(str(converted))
    model = ctranslate2.models.Whisper(str(converted), compute_type=variant, intra_threads=1, inter_threads=1)
    features = np.random.default_rng(0).normal(size=(1, MELS, FRAMES)).astype(np.float32)

    def encode():
        return model.encode(ctranslate2.StorageView.from_array(features))

    def search(memory):
        found = model.generate(  # it writes half of max_length
            memory, [PROMPT], beam_size=beam, max_length=2 * STEPS, suppress_tokens=[END], suppress_blank=False
        )
        return len(found[0].sequences_ids[0])

    return encode, search


encode, search = globals()[program]()
memory = encode()


def run() -> None:
    if part == "encoder":
        encode()
    else:
        n_tokens = search(memory)
        assert n_tokens == STEPS, n_tokens
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


sys.path.insert(0, here)
from waiting import serve  # noqa: E402

serve(run, warm=0, counted=1)  # seconds, not milliseconds
