"""Whatever lies in a file, what comes out is a value or the file's own error: one short line, and nothing large on the way."""

import gzip
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.config_values import from_dict
from asr.decoding.decode_config import DecodeConfig
from asr.decoding.ngram_file import read_ngrams
from asr.errors import LONGEST, AsrError, CheckpointError, ConfigError, ManifestError
from asr.foreign_bytes import QUOTED, json_value, listed, quoted, reading, shortened
from asr.interop.checkpoints import read_json, read_pickle, read_tensors, read_yaml
from asr.model.folder import load_model
from asr.model.sizes import MOST_SIZES
from asr.training.checkpoint import load_state
from asr.training.config import load_config
from asr.training.history import read_history


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (IndexError("list index out of range"), "f:7: damaged (list index out of range)"),
        (KeyError("a"), "f:7: damaged ('a' is missing)"),
        (RecursionError("maximum"), "f:7: damaged (nested too deeply)"),
        (MemoryError(), "f:7: damaged (too large for the memory of this machine)"),
        (OverflowError(""), "f:7: damaged (OverflowError)"),
        (ValueError("of two\n  lines"), "f:7: damaged (of two lines)"),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid start byte"), "not UTF-8: invalid start byte at byte 1"),
        (PermissionError(13, "Permission denied", "f"), "f:7: cannot be read (Permission denied)"),
        (FileNotFoundError(2, "No such file or directory", "f"), "f: no such file"),
        (FileNotFoundError(2, "No such file or directory", "g"), "f: no such file ('g')"),
    ],
)
def test_whatever_goes_wrong_becomes_the_files_own_error(error, message):
    with pytest.raises(ManifestError, match=re.escape(message)) as raised, reading("f", ManifestError) as place:
        place.line = 7
        raise error
    assert raised.value.__cause__ is error


def test_errors_of_the_program_and_interruptions_pass():
    for error in (ConfigError("as it was"), KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)) as raised, reading("f", ManifestError):
            raise error
        assert raised.value is error


def test_what_is_quoted_is_short_however_large_the_value():
    nested: list = ["x"]
    for _ in range(60):
        nested = [nested] * 9
    itself: dict = {}
    itself["self"] = itself
    large = [
        nested,
        itself,
        10**100_000,
        "x" * 10**6,
        b"\0" * 10**6,
        {i: nested for i in range(1000)},
        torch.zeros(1000),
    ]
    assert all(len(quoted(value)) <= QUOTED for value in large)
    assert quoted({"a": [1, 2.5, "\x1b"]}) == r"{'a': [1, 2.5, '\x1b']}"
    assert quoted(10**400) == "a number of 1,329 bits"
    assert listed(["x" * 500] * 20).endswith(" and 17 more") and len(listed(["x" * 500] * 20)) < 2 * QUOTED
    assert listed("abcdefghijk") == "a, b, c, d, e, f, g, h and 3 more" and listed([]) == ""
    assert shortened("a" * 100 + "b" * 100, 30) == "a" * 20 + " … " + "b" * 7


def test_a_message_is_short_and_holds_nothing_that_a_terminal_obeys():
    assert str(AsrError("a\x1b[2J\rb\ud800c\u202ed　e\nf")) == r"a\x1b[2J\rb\ud800c\u202ed　e" + "\nf"
    assert len(str(AsrError("x" * 10**6))) <= LONGEST


def pickle(tmp_path, values, **how):
    torch.save(values, tmp_path / "a.pt", **how)
    return tmp_path / "a.pt"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"a": torch.zeros(1).expand(10**12)},
            r"a tensor \(1000000000000,\) would have 4,000,000,000,000 bytes, it has 4",
        ),
        (
            {f"a{i}": torch.zeros(9).view(3, 3) for i in range(2)} | {"b": [torch.zeros(2, 1).expand(2, 10**9)]},
            "would have",
        ),
        (dict.fromkeys("abcdefghij", torch.zeros(100)), r"its tensors would have 4,000 bytes, they share 400"),
        ({"a": torch.zeros(4).to_sparse()}, r"is not read \(torch._utils._rebuild_sparse_tensor: "),
        ({"a": torch.zeros(4, device="meta")}, r"is not read \(torch._utils._rebuild_meta_tensor_no_storage: "),
        ({"a": bytearray(4)}, "it asks for (builtins|__builtin__).bytearray"),
    ],
)
def test_a_pickle_that_would_be_larger_than_its_file(tmp_path, values, message):
    if isinstance(values.get("a"), torch.Tensor) and len(values) == 10:
        values = {name: tensor[:] for name, tensor in values.items()}
    with pytest.raises(CheckpointError, match=rf"a\.pt: .*{message}"):
        read_pickle(pickle(tmp_path, values))


def test_tied_weights_and_old_formats_are_read(tmp_path):
    tied = torch.arange(6.0)
    for new in (True, False):
        read = read_tensors(pickle(tmp_path, {"a": tied, "b": tied.view(2, 3)}, _use_new_zipfile_serialization=new))
        assert torch.equal(read.take("b").flatten(), read.take("a"))


def test_a_compressed_pickle(tmp_path):
    path = pickle(tmp_path, {"a": torch.zeros(4)})
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + bytes(100_000))
    with pytest.raises(CheckpointError, match="a.pt: damaged .*its parts are compressed, .* which PyTorch never does"):
        read_pickle(path)


def aliases(value: str) -> str:
    lines = [f"a0: &a0 {value}"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return "\n".join(lines)


def merges() -> str:
    lines = ["m0: &m0 {k: v}"] + [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 9)}]}}" for i in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (aliases("[x, x, x, x, x, x, x, x, x]"), "by its aliases it stands for millions of values"),
        (merges(), "by its aliases it stands for millions of values"),
        ("a: &a [*a]", "by its aliases it stands for millions of values"),
        ("[" * 2000, "more than 100 deep"),
        ("- " * 5000, "nested too deeply"),
        ("a: " + "9" * 5000, "4300 digits"),
        ("a: !!int x", "invalid literal"),
        ("# " + "x" * 1_000_000, "1,000,002 characters are no settings"),
        ("a: 1\nb: \ud800", "not UTF-8"),
    ],
)
def test_yaml_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(CheckpointError, match=rf"a\.yaml: not YAML \(.*{message}"):
        read_yaml(path)


def test_dates_in_yaml_are_text_and_aliases_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 9999-99-99\nb: &b {c: 2024-01-01}\nd: {<<: *b, e: 1}\n")
    assert read_yaml(tmp_path / "a.yaml") == {
        "a": "9999-99-99",
        "b": {"c": "2024-01-01"},
        "d": {"c": "2024-01-01", "e": 1},
    }


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "", "nul", '{"a": "\udcff"}'])
def test_json_that_cannot_be_read(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"a\.json: not JSON \("):
        read_json(tmp_path / "a.json")


def test_a_config_of_very_many_layers_is_refused_before_anything_is_built(model, tmp_path):
    model = Path(shutil.copytree(model, tmp_path / "m"))
    config = json.loads((model / "config.json").read_text())
    for part, name in (("encoder", "layers"), ("decoder", "layers"), ("encoder", "feed_forward")):
        changed = json.loads(json.dumps(config))
        changed["model"][part][name] = 10**12
        (model / "config.json").write_text(json.dumps(changed))
        with pytest.raises(
            CheckpointError, match=f"config.json: {part}.{name} must be at most {MOST_SIZES[name]:,}, is"
        ):
            load_model(model)
    changed["model"]["encoder"] |= {"layers": 200, "width": 8192, "feed_forward": 100_000}  # 400 GB
    (model / "config.json").write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match=r"should have the shape \(.*\) by config.json, has"):
        load_model(model)


def test_numbers_of_settings_have_an_end(tmp_path):
    for value in (10**400, -(2**54)):
        with pytest.raises(ConfigError, match="decode.beam must be at most 9,007,199,254,740,992, is"):
            from_dict(DecodeConfig, {"beam": value}, "decode")
        with pytest.raises(ConfigError, match="decode.lm_weight must be a finite number, is inf"):
            from_dict(DecodeConfig, {"lm_weight": 10**400}, "decode")
    with pytest.raises(ConfigError, match="decode.length_power must be at most 10, is 1e"):
        from_dict(DecodeConfig, {"length_power": 1e300}, "decode")
    (tmp_path / "r.toml").write_text("[train]\nmax_steps = " + "9" * 5000)
    with pytest.raises(ConfigError, match=r"r\.toml: not TOML \(Exceeds the limit"):
        load_config(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_text("a = " + "[" * 2000)
    with pytest.raises(ConfigError, match=r"r\.toml: not TOML \(nested too deeply\)"):
        load_config(tmp_path / "r.toml")


ARPA = "\\1-grams:\n-1\ta\n-1\tb\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ARPA + "-1\t" + "a" * 3_000_000 + "\n",
            r"arpa\.gz:\d: not an ARPA .*far longer than those of a language model",
        ),
        (ARPA + "-1\tzzzzzzzzzzzz\n" * 1_000_000, r"far longer than those of a language model"),
        ("\\99999999999-grams:\n", "n-grams of 9999999999 words; at most 20 can be read"),
        ("\\1-grams:\nnan\ta\n", "arpa.gz:2: nan: no logarithms of probabilities"),
    ],
)
def test_language_models_that_unpack_to_far_more(tmp_path, text, message):
    (tmp_path / "lm.arpa.gz").write_bytes(gzip.compress(text.encode(), 9))
    with pytest.raises(AsrError, match=message):
        read_ngrams(tmp_path / "lm.arpa.gz", ["a", "b"], 1)


def test_a_packed_language_model_whose_numbers_do_not_fit(tmp_path):
    from safetensors.numpy import save_file

    from asr.decoding.ngram_file import fingerprint

    good = {
        "children": np.uint16([2]),
        "token": np.uint16([0, 1]),
        "log_prob": np.float16([0, -1, -1]),
        "backoff": np.float16([0]),
    }
    for name, value in (("children", [65535]), ("token", [0, 9]), ("log_prob", [0, np.nan, 0]), ("backoff", [0] * 5)):
        changed = good | {name: np.array(value, good[name].dtype)}
        save_file(changed, tmp_path / "lm.safetensors", {"tokens": fingerprint("ab")})
        with pytest.raises(
            AsrError, match=r"lm\.safetensors: damaged or no packed language model \(.*; copy the file again"
        ):
            read_ngrams(tmp_path / "lm.safetensors", "ab", 1)


def test_files_of_a_run(tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    for line, message in (
        ("[1]", "log.jsonl:2: is no line of a run's log"),
        ('{"step": 1e999}', "its step is inf"),
        ('{"step": 3, "loss": "x", "epoch": 1, "hours": 1, "wall": 1}', "loss is 'x'"),
        ('{"step": 3, "health": {"diagonal": 1}}', "is missing"),
        ("[" * 100_000, "nested too deeply"),
    ):
        (tmp_path / "log.jsonl").write_text('{"step": 1}\n' + line + "\n")
        with pytest.raises(CheckpointError, match=message):
            read_history(tmp_path)
    for content in (b"", b"\x80\x02]q\x00.", b"\x80\x02h\x07."):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"state\.pt: damaged \(.*; start the run again with --force"):
            load_state(tmp_path)


def test_half_characters_are_no_value():
    assert json_value('{"a": "\\ud83d\\ude00 今 \\\\ud800"}') == {"a": "😀 今 \\ud800"}
    for text in ('"\\ud800"', '{"\\uDC00": 1}', '[["a\\udfff"]]'):
        with pytest.raises(ValueError, match=r"holds half a character \(a lone surrogate\): '\\ud"):
            json_value(text)
