"""A run that trains low-rank adapters: what its folder holds, and that every command takes it for the whole model."""

import dataclasses
import json
import shutil

import pytest
import torch

from asr.catalogue import finding
from asr.catalogue.decode_settings import save_decode_settings
from asr.catalogue.opening import Decoding, open_decoding
from asr.decoding.decode_config import DecodeConfig
from asr.errors import AsrError, CheckpointError, ConfigError
from asr.model.folder import load_model, read_header, read_network, read_weights
from asr.text.tokenizer import TokenTable
from asr.training.checkpoint import load_state
from asr.training.initial import from_model
from asr.training.loop import train
from tests.conftest import ROOT
from tests.runs import QUIET, Lines, changed, lines_of, logged_losses, small_run

TOY = ROOT / "tests/fixtures/toy"
LORA = ("train.lora.rank=2", "train.lora.alpha=4.0", "train.learning_rate=0.002")


@pytest.fixture
def base(tmp_path):
    """The trained toy model, with decoding settings of its own."""
    shutil.copytree(TOY, tmp_path / "base", ignore=shutil.ignore_patterns("log.jsonl", "settings.json"))
    save_decode_settings(tmp_path / "base", DecodeConfig(beam=2))
    return tmp_path / "base"


@pytest.fixture
def recipe(corpus, base):
    """Four steps with dropout, so that all that is random takes part."""
    sets = ("data.curriculum_epochs=0", "train.max_steps=4", "train.evaluate_every=2", "train.checkpoint_every=1")
    config = small_run(corpus, *sets, *LORA, "train.lora.dropout=0.2", "train.precision=float32", "train.log_every=1")
    return from_model(config, base)


@pytest.fixture
def tuned(recipe, tmp_path):
    return train(recipe, tmp_path / "tuned", display=QUIET)


def test_the_folder_is_small_and_names_its_base(tuned, base):
    said = json.loads((tuned / "adapter.json").read_text(encoding="utf-8"))
    assert said["base"] == "../base" and len(said["fingerprint"]) == 16 and said["lora"]["rank"] == 2
    assert not (tuned / "model.safetensors").exists()
    tensors, _ = read_weights(tuned / "adapter.safetensors")
    assert all(".lora_" in name for name in tensors)
    sizes = [
        (folder / name).stat().st_size for folder, name in ((tuned, "adapter.safetensors"), (base, "model.safetensors"))
    ]
    numbers = sum(tensor.numel() for tensor in tensors.values())
    assert 4 * numbers < sizes[0] < 4 * numbers + 30_000 < sizes[1] / 4
    assert all(".lora_" in name for name in load_state(tuned)["model"])
    for path in (tuned / "checkpoints").iterdir():
        assert path.stat().st_size < sizes[1] / 4


def test_it_is_loaded_as_one_network(tuned, base):
    """That of the base, but for the adapted matrices, to which the products are added."""
    before, after = (load_model(folder).model.state_dict() for folder in (base, tuned))
    tensors, _ = read_weights(tuned / "adapter.safetensors")
    differing = {name for name in before if not torch.equal(before[name], after[name])}
    assert differing == {name.replace(".lora_b", ".weight") for name in tensors if name.endswith(".lora_b")}
    name = "decoder.layers.1.cross_attention.key"
    product = 4 / 2 * tensors[f"{name}.lora_b"] @ tensors[f"{name}.lora_a"]
    assert torch.allclose(after[f"{name}.weight"], before[f"{name}.weight"] + product, atol=1e-6)


def test_a_run_goes_on_as_if_it_had_not_stopped(recipe, tuned, tmp_path):
    for stop in (1, 3, None):
        parts = train(recipe, tmp_path / "parts", display=QUIET, stop_after=stop)
    assert lines_of(parts) == lines_of(tuned)
    first, second = (load_state(run)["model"] for run in (tuned, parts))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    one, other = (read_weights(run / "adapter.safetensors")[0] for run in (tuned, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_processes_adapt_as_one(recipe, tmp_path):
    """The other one is given the network with its adapters, and learns nothing else either."""
    config = changed(recipe, accumulate=2, max_steps=3, evaluate_every=3)
    runs = [train(changed(config, processes=n), tmp_path / str(n), display=QUIET) for n in (1, 2)]
    one, two = map(logged_losses, runs)
    assert len(one) == 3 and two == pytest.approx(one, abs=1e-4)


def test_a_moving_average_is_of_the_adapters(recipe, tmp_path):
    config = changed(recipe, average_of="ema")
    run = train(config, tmp_path / "run", display=QUIET, stop_after=2)
    state = load_state(run)
    assert sorted(t.numel() for t in state["moving_average"]) == sorted(t.numel() for t in state["model"].values())
    assert load_model(train(config, tmp_path / "run", display=QUIET)).name == "run"


def test_where_nothing_is_better_the_base_is_kept_exactly(recipe, base, tmp_path):
    run = train(changed(recipe, learning_rate=30.0, warmup_steps=0), tmp_path / "run", display=QUIET)
    assert read_header(run / "adapter.safetensors")["step"] == "0"
    before, after = (load_model(folder).model.state_dict() for folder in (base, run))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_every_command_takes_the_folder(run, tuned, base, corpus, tmp_path):
    sample = next((corpus["test"].parent / "wav").rglob("*.wav"))
    status, out, _ = run("transcribe", sample, "--model", tuned, "--out", tmp_path / "texts")
    assert status == 0
    status, out, _ = run("evaluate", tuned, corpus["test"], "--out", tmp_path / "eval")
    assert status == 0 and out.startswith("CER ")
    status, out, _ = run("model", "info", tuned)
    assert status == 0 and "adapters    rank 2, of ../base" in out and "low-rank adapters of rank 2 on base" in out
    assert run("tune", tuned, corpus["dev"])[0] == 0
    assert run("model", "export", tuned, "--out", tmp_path / "whole", "--dtype", "float32")[0] == 0
    assert not (tmp_path / "whole/adapter.json").exists()
    exported, _ = read_weights(tmp_path / "whole/model.safetensors")
    merged, _ = read_network(tuned)
    assert exported.keys() == merged.keys() and all(
        torch.equal(exported[name], merged[name].float()) for name in merged
    )
    shutil.rmtree(base)
    assert load_model(tmp_path / "whole").name == "whole"
    assert run("model", "export", tmp_path / "whole", "--out", tuned, "--force")[0] == 0
    assert not (tuned / "adapter.json").exists() and load_model(tuned)


def test_the_language_model_is_the_bases_unless_it_has_its_own(run, tuned, base, tmp_path):
    symbols = TokenTable.load(base / "tokens.txt").tokens[4:]
    (tmp_path / "texts.txt").write_text("".join(f"{a}{b}\n" for a, b in zip(symbols, symbols[1:], strict=False)))
    assert run("train-lm", tmp_path / "texts.txt", "--out", tmp_path / "lm.arpa", "--order", "2")[0] == 0
    assert run("model", "add-lm", base, tmp_path / "lm.arpa")[0] == 0

    def path():
        return open_decoding(Decoding(tuned, settings={"lm_weight": 0.5})).lm.path

    assert path() == tuned / "../base/lm.safetensors" and not (tuned / "lm.safetensors").exists()
    assert run("model", "export", tuned, "--out", tmp_path / "whole")[0] == 0
    assert (tmp_path / "whole/lm.safetensors").is_file()
    assert run("model", "add-lm", tuned, tmp_path / "lm.arpa")[0] == 0
    assert path() == tuned / "lm.safetensors"


def test_another_base_is_refused(tuned, base, recipe):
    header_only = base / "model.safetensors"
    from asr.training.origin import add_to_header

    add_to_header(header_only, {"note": "the numbers are the same"})
    assert load_model(tuned)
    tensors, _ = read_weights(base / "model.safetensors")
    from safetensors.torch import save_file

    tensors["decoder.norm.weight"] = tensors["decoder.norm.weight"] + 0.001
    save_file(tensors, base / "model.safetensors", {"asr": json.dumps(read_header(base / "model.safetensors"))})
    message = "tuned: its adapters were made for weights with the fingerprint .* another version of it; put the right one back"
    for attempt in (lambda: load_model(tuned), lambda: train(changed(recipe, max_steps=5), tuned, display=QUIET)):
        with pytest.raises(CheckpointError, match=message) as error:
            attempt()
        assert "\n" not in str(error.value)


def test_a_base_is_found_beside_the_adapters(tuned, base, tmp_path):
    shutil.move(tuned, tmp_path / "elsewhere/deep/tuned")
    with pytest.raises(
        CheckpointError, match="holds adapters of the model '../base', which is not there; put it beside"
    ):
        load_model(tmp_path / "elsewhere/deep/tuned")
    shutil.copytree(base, tmp_path / "elsewhere/deep/base")
    assert load_model(tmp_path / "elsewhere/deep/tuned")


def test_the_embedded_model_is_a_base_by_its_name(tuned, tmp_path, monkeypatch):
    from asr.model import bases

    monkeypatch.setattr(bases, "PRETRAINED", tmp_path)
    assert bases.base_name(tmp_path / "base", tuned) == "base"
    said = json.loads((tuned / "adapter.json").read_text(encoding="utf-8"))
    shutil.move(tuned, tmp_path / "elsewhere/tuned")
    (tmp_path / "elsewhere/tuned/adapter.json").write_text(json.dumps(said | {"base": "base"}), encoding="utf-8")
    assert load_model(tmp_path / "elsewhere/tuned")


def test_a_published_base_is_fetched(tuned, base, monkeypatch, tmp_path):
    said = json.loads((tuned / "adapter.json").read_text(encoding="utf-8"))
    (tuned / "adapter.json").write_text(json.dumps(said | {"base": "tiny"}), encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(finding, "PUBLISHED", {"tiny": None})
    fetched = []

    def pull(name):
        fetched.append(name)
        shutil.copytree(base, tmp_path / "cache/mandarin-asr/models" / name)

    monkeypatch.setattr(finding, "_fetch", pull)
    for _ in range(2):
        assert load_model(finding.find_model(tuned)) and fetched == ["tiny"]


def test_training_goes_on_whole_from_adapters_and_adapters_on_what_was_merged(run, recipe, tuned, corpus, tmp_path):
    whole = small_run(corpus, "train.max_steps=1", "train.learning_rate=1e-9", "train.precision=float32")
    after = train(from_model(whole, tuned), tmp_path / "whole", display=QUIET)
    one, other = (load_model(folder).model.state_dict() for folder in (tuned, after))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    again = from_model(recipe, tuned)
    with pytest.raises(ConfigError, match="tuned holds adapters itself; asr model export .*tuned --out MODEL"):
        train(again, tmp_path / "again", display=QUIET)
    assert run("model", "export", tuned, "--out", tmp_path / "merged", "--dtype", "float32")[0] == 0
    assert train(from_model(recipe, tmp_path / "merged"), tmp_path / "again", display=QUIET)


def test_what_adapters_cannot_do_is_said_before_the_run(recipe, base, tmp_path):
    with pytest.raises(
        ConfigError, match="low-rank adapters need a model to go on from: asr train RECIPE --init MODEL"
    ):
        train(changed(recipe, initial_model=""), tmp_path / "run", display=QUIET)
    headless = json.loads((base / "config.json").read_text())
    assert headless["model"]["ctc"] is False
    with pytest.raises(ConfigError, match="base has no CTC head, and low-rank adapters .* bring none"):
        from_model(changed(recipe, ctc_weight=0.3), base)
    with pytest.raises(ConfigError, match="train.new_tokens: low-rank adapters .* add no tokens"):
        changed(recipe, new_tokens=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora": {"rank": 0}}, "adapter.json: names no base or no rank"),
        ({"base": ""}, "adapter.json: names no base or no rank"),
        ({"base": 3}, "adapter.json: base must be a text, is 3"),
        ({"lora": {"rank": 3}}, "does not fit its base .*the weight .*, the rank is 3"),
        ({"format_version": 9}, "adapter.json: has format 9, this program reads 1; update it"),
        ({"weights": "x"}, "adapter.json: weights: there is no such setting"),
        ({"base": "../tuned"}, "its base .*tuned holds adapters itself; make one model of it"),
    ],
)
def test_a_damaged_adapter_is_one_line(tuned, change, message):
    said = json.loads((tuned / "adapter.json").read_text(encoding="utf-8"))
    (tuned / "adapter.json").write_text(json.dumps(said | change), encoding="utf-8")
    with pytest.raises(AsrError, match=message):
        load_model(tuned)


def test_both_domains_before_and_after(recipe, corpus, tmp_path):
    """Each dev manifest's CER by the initial model and by the one that is kept: said, logged, and in the header."""
    shown = Lines()
    config = dataclasses.replace(
        recipe, data=dataclasses.replace(recipe.data, dev=(*recipe.data.dev, str(corpus["test"])))
    )
    run = train(config, tmp_path / "run", display=shown)
    first = lines_of(run)[0]
    header = read_header(run / "adapter.safetensors")
    rates = {name: [first[f"dev_cer_{name}"], float(header[f"dev_cer_{name}"])] for name in ("dev", "test")}
    expected = [
        f"CER of {name}: {100 * before:.2f} % before the first step, {100 * after:.2f} % of what is kept"
        for name, (before, after) in rates.items()
    ]
    assert first["step"] == 0 and shown.lines[-3:-1] == expected
    assert lines_of(run)[-1] == {"step": 4, "before_and_after": rates}
    train(config, run, display=QUIET)  # nothing is left to do
    assert [line for line in lines_of(run) if "before_and_after" in line] == lines_of(run)[-1:]
