"""A model of byte pairs cut down to the tokens that some texts need, which hears as much as there is and no silence besides.

    python recipes/embedded/trimming.py MODEL TEXTS... --out exp/embedded-start

Every single byte stays, so that nothing becomes unwritable; texts that were looked at are split as before. What Whisper hears
is filled up to 30 seconds; without that it takes a fraction of the time, and has to be trained so for a little.
"""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from asr.catalogue.finding import find_model
from asr.corpus.texts import texts_of
from asr.files import save_json
from asr.model.folder import DECODE, empty_model, fill_weights, load_model, read_decode, save_model
from asr.text.byte_pairs import WORD, BytePairTokenizer, byte_symbols
from asr.text.normalize import normalize
from asr.text.tokenizer import TokenTable

BY_TOKEN = ("decoder.embedding.weight", "decoder.out.bias")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, or the name of a published model")
    parser.add_argument("texts", type=Path, nargs="+", help="plain text, a sentence a line, and manifests (.jsonl)")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(arguments)
    folder = find_model(options.model)
    loaded = load_model(folder)
    kept = needed(loaded.tokenizer, (text for path in options.texts for text in texts_of(path)), loaded.model.config)
    table = TokenTable(loaded.tokenizer.table.tokens[i] for i in kept)
    place = {old: new for new, old in enumerate(kept)}

    old = loaded.model
    encoder, decoder = (replace(part, dropout=0.0) for part in (old.config.encoder, old.config.decoder))
    decoder = replace(decoder, prompt=tuple(place[i] for i in decoder.prompt))
    features = replace(old.log_mel.config, window_seconds=0.0)
    model = empty_model(features, replace(old.config, encoder=encoder, decoder=decoder), len(table))
    tensors = {name: tensor for name, tensor in old.state_dict().items() if name != "decoder.out.weight"}
    rows = torch.tensor(kept)
    fill_weights(model, tensors | {name: tensors[name][rows] for name in BY_TOKEN}, folder)
    save_model(options.out, model, table, card=(folder / "README.md").read_text(encoding="utf-8"))

    decode = read_decode(folder)
    decode["never_written"] = [place[i] for i in decode.get("never_written", []) if i in place]
    save_json(options.out / DECODE, decode)
    print(f"{options.out}: {len(table):,} of {len(loaded.tokenizer.table):,} tokens")


def needed(tokenizer: BytePairTokenizer, texts: Iterable[str], config) -> list[int]:
    """Ids in rising order: what the texts are split into, what those tokens are joined from, single bytes, what is no text."""
    table = tokenizer.table
    words = {word for text in texts for part in pieces(text) for word in WORD.findall(part)}
    found = {i for word in words for i in tokenizer.split(word)}
    found |= {part for i in found for part in joined_from(tokenizer, i)}
    special = {table.blank, table.unk, table.sos, table.eos, *config.decoder.prompt}
    return sorted(found | special | {table.ids[symbol] for symbol in byte_symbols()})


def pieces(text: str) -> list[str]:
    """The normalised text in pieces that are quickly split: at marks, where no token goes on."""
    marked = "".join(c if c.isalnum() or c == " " else "\n" for c in text)
    return [normalize(part) for part in marked.split("\n") if part.strip()]


def joined_from(tokenizer: BytePairTokenizer, token: int) -> set[int]:
    """The tokens that come into being on the way from single bytes to this one."""
    ids, parts = tokenizer.table.ids, list(tokenizer.table.tokens[token])
    seen = {ids[part] for part in parts}
    while len(parts) > 1:
        best, place = min(
            (ids.get(a + b, token + 1), i) for i, (a, b) in enumerate(zip(parts, parts[1:], strict=False))
        )
        if best > token:
            break
        parts[place : place + 2] = [tokenizer.table.tokens[best]]
        seen.add(best)
    return seen


if __name__ == "__main__":
    main()
