"""What is done to files that other programs saved: tensors resized and of other kinds, pickles and YAML with other values."""

import argparse
import io
import json
import pickle
import struct
import zipfile
from collections import OrderedDict
from random import Random
from typing import Any

import torch
import yaml
from torch import Tensor

from tests.fuzz.mutate import Files, dump_json, mutate_bytes, mutate_file, mutate_files, mutate_text, mutate_value

PICKLED = (".pt", ".pth", ".ckpt", ".tar", ".bin")


def mutate_saved(random: Random, seeds: list[Files]) -> Files:
    """A folder of a model, or of a run, with one or two of its files mutated by what they are."""
    if random.random() < 0.1:
        return mutate_files(random, seeds)
    files = dict(random.choice(seeds))
    for name in random.sample(sorted(files), random.choice([1, 1, 1, 2]) if len(files) > 1 else 1):
        others = [seed[name] for seed in seeds if name in seed]
        files[name] = _mutate(random, name, files[name], others)
    return files


def _mutate(random: Random, name: str, data: bytes, others: list[bytes]) -> bytes:
    if name.endswith(PICKLED) and zipfile.is_zipfile(io.BytesIO(data)):
        return random.choice([mutate_pickle] * 6 + [recompress, mutate_members, mutate_bytes])(random, data)
    if name.endswith(".safetensors"):
        return random.choice([mutate_safetensors] * 4 + [mutate_bytes])(random, data)
    if name.endswith((".yaml", ".yml")):
        return random.choice([mutate_yaml] * 4 + [mutate_text, mutate_bytes])(random, data)
    return mutate_file(random, name, data, others)


def mutate_pickle(random: Random, data: bytes, legacy: bool | None = None) -> bytes:
    """What torch.save wrote, loaded, changed, and saved again; now and then in the format of old versions."""
    values = torch.load(io.BytesIO(data), weights_only=False)
    out = io.BytesIO()
    try:
        torch.save(mutate_tree(random, values), out, _use_new_zipfile_serialization=random.random() > 0.15)
    except Exception:  # not everything can be saved
        return mutate_bytes(random, data)
    return out.getvalue()


def mutate_tree(random: Random, value: Any) -> Any:
    """Nested values in which one place, most often a tensor, is something else."""
    if isinstance(value, argparse.Namespace):
        changed = mutate_value(random, vars(value))
        return argparse.Namespace(**{str(k): v for k, v in changed.items()}) if isinstance(changed, dict) else changed
    if isinstance(value, Tensor):
        return mutate_tensor(random, value)
    if not isinstance(value, dict | list) or not value or random.random() < 0.05:
        return mutate_value(random, value)
    copy = OrderedDict(value) if isinstance(value, dict) else list(value)
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    change = random.random()
    if change < 0.8:
        copy[key] = mutate_tree(random, value[key])
    elif change < 0.9 or not isinstance(copy, dict):
        del copy[key]
    else:
        copy[random.choice([f"{key}.x", "", 0, "\x1b[2J" * 500, None])] = copy.pop(key)
    return copy


def mutate_tensor(random: Random, tensor: Tensor) -> Any:
    """Another shape, kind of number, layout, or value; now and then one that says it is far larger than it is."""
    rows = tensor.reshape(-1)[:4]
    changes = [
        lambda: rows[:1].expand(random.choice([10**3, 10**7, 10**9, 10**12])) if rows.numel() else tensor,
        lambda: rows[:1].reshape(1, 1).expand(random.choice([10**4, 10**9]), 7) if rows.numel() else tensor,
        lambda: tensor.reshape(-1),
        lambda: tensor[..., :-1].clone() if tensor.ndim else tensor,
        lambda: tensor.new_zeros(0, *tensor.shape[1:]),
        lambda: torch.zeros(()),
        lambda: tensor[None],
        lambda: tensor.t() if tensor.ndim == 2 else tensor,
        lambda: torch.cat([tensor, tensor]) if tensor.ndim else tensor,
        lambda: tensor.to(
            random.choice([torch.half, torch.double, torch.int64, torch.bool, torch.complex64, torch.int8])
        ),
        lambda: tensor.to(random.choice([torch.bfloat16, torch.float8_e4m3fn])),
        lambda: torch.full_like(tensor, random.choice([0, 1])),
        lambda: torch.full_like(tensor.double(), random.choice([float("nan"), float("inf"), 1e300, -1e38])),
        lambda: tensor.to_sparse(),
        lambda: tensor.to("meta"),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: torch.nn.Parameter(tensor.float()),
        lambda: tensor.numpy(),
        lambda: random.choice([None, 0, "x", [1, 2], {"a": 1}, 10**400, float("nan")]),
    ]
    try:
        return random.choice(changes)()
    except RuntimeError:
        return tensor[..., None]


def recompress(random: Random, data: bytes) -> bytes:
    """The same parts deflated, one of them far larger."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        bomb = random.choice(old.namelist())
        for name in old.namelist():
            new.writestr(name, old.read(name) + (bytes(200_000_000) if name == bomb and random.random() < 0.2 else b""))
    return out.getvalue()


def mutate_members(random: Random, data: bytes) -> bytes:
    """The parts of the archive mutated as bytes: opcodes of the pickle, the order of bytes, the numbers."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = random.choice([n for n in names if n.endswith(".pkl")] * 3 + names)
        for name in names:
            content = old.read(name)
            new.writestr(name, mutate_bytes(random, content) if name == chosen else content)
    return out.getvalue()


def mutate_safetensors(random: Random, data: bytes) -> bytes:
    """Another header over the same numbers."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    metadata = header.get("__metadata__", {})
    if metadata and random.random() < 0.4:
        name = random.choice(sorted(metadata))
        try:
            metadata[name] = dump_json(mutate_value(random, json.loads(metadata[name]))).decode("utf-8", "replace")
        except ValueError:
            metadata[name] = "x" + metadata[name]
    else:
        header = mutate_value(random, header)
    new = dump_json(header)
    if random.random() < 0.1:
        size = random.choice([0, size * 2, 2**40, 2**63])
        return struct.pack("<Q", size) + new + data[8 + size :]
    return struct.pack("<Q", len(new)) + new + data[8 + size :]


def mutate_yaml(random: Random, data: bytes) -> bytes:
    """Values replaced, lost or renamed, or aliases, merges and tags put in."""
    if random.random() < 0.2:
        return random.choice(YAML_BOMBS)(random).encode() + data
    try:
        values = yaml.safe_load(data)
        return yaml.safe_dump(mutate_value(random, values), allow_unicode=True).encode("utf-8", "surrogatepass")
    except Exception:  # tags, and values that cannot be written
        return mutate_text(random, data)


def _aliases(random: Random) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, random.choice([3, 8, 20]))]
    return "\n".join(lines) + f"\nencoder_conf: *a{len(lines) - 1}\n"


def _merges(random: Random) -> str:
    lines = ["m0: &m0 {k: v}"]
    lines += [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}" for i in range(1, random.choice([3, 7, 20]))]
    return "\n".join(lines) + "\n"


def _itself(random: Random) -> str:
    return random.choice(
        ["r: &r [*r, *r]\n", "r: &r {x: *r}\n", "&r r: {<<: *r}\n", "d: 9999-99-99\n", "d: 2024-01-01\n"]
    )


def _tags(random: Random) -> str:
    return random.choice(["t: !!python/object/apply:os.system [x]\n", "t: !x [1]\n", "t: !!set {a, b}\n", "t: !!timestamp x\n",
                          "t: !!int x\n", "t: !!float 1e9999\n", "t: !!binary ///\n", "t: !!omap [a: 1]\n", "? [a]\n: b\n",
                          "? {a: b}\n: c\n", "t: 0b" + "1" * 9000 + "\n", "t: 1:" + "59:" * 3000 + "1\n"])  # fmt: skip


YAML_BOMBS = [_aliases, _merges, _itself, _tags]


def pickled_bombs() -> list[bytes]:
    """Pickles of a few bytes that ask for something large, in the form of torch.save."""
    bodies = [
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02ctorch\nTensor\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02]q\x00" + b"".join(b"]q%c(%s" % (i, b"h%c" % (i - 1) * 9) + b"e" for i in range(1, 60)) + b".",
        pickle.dumps({"a": "x" * 100_000}, 2),
    ]
    found = []
    for body in bodies:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("archive/data.pkl", body)
            archive.writestr("archive/version", "3\n")
        found.append(out.getvalue())
    return found
