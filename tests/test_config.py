import pytest

from asr.config_values import parse_override
from asr.decoding.decode_config import DecodeConfig
from asr.errors import ConfigError
from asr.training.config import Config, load_config
from asr.training.train_config import TrainConfig, learning_rate
from tests.conftest import ROOT

WINDOW = '[features]\nkind = "stft"\nwindow_seconds = 30'


@pytest.fixture
def toml(tmp_path):
    def write(text: str):
        (tmp_path / "r.toml").write_text(text, encoding="utf-8")
        return tmp_path / "r.toml"

    return write


def test_an_empty_file_is_the_defaults(toml):
    assert load_config(toml("")) == Config()


def test_values_reach_nested_sections_and_overrides_win(toml):
    path = toml('[model.encoder]\nlayers = 3\n[data]\ntrain = ["a.jsonl"]\n[train]\nlearning_rate = 1\n')
    config = load_config(path, ["model.encoder.layers=4", "train.device=cpu", 'data.dev=["b.jsonl"]'])
    assert config.model.encoder.layers == 4 and config.data.train == ("a.jsonl",) and config.data.dev == ("b.jsonl",)
    assert config.train.learning_rate == 1.0 and config.train.device == "cpu"


def test_a_recipe_extends_another(tmp_path):
    """Its own settings win, those of lists as a whole; overrides win over both. Names are relative to the file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/base.toml").write_text(
        '[model.encoder]\nlayers = 3\nwidth = 64\n[data]\ntrain = ["a.jsonl", "b.jsonl"]\n'
    )
    (tmp_path / "middle.toml").write_text('extends = "a/base.toml"\n[model.encoder]\nlayers = 5\n')
    top = tmp_path / "top.toml"
    top.write_text('extends = "middle.toml"\n[data]\ntrain = ["c.jsonl"]\n[train]\nmax_steps = 7\n')
    config = load_config(top, ["train.max_steps=8"])
    assert (config.model.encoder.layers, config.model.encoder.width) == (5, 64)
    assert config.data.train == ("c.jsonl",) and config.train.max_steps == 8
    top.write_text('extends = "lost.toml"')
    with pytest.raises(ConfigError, match="lost.toml: no such file, which .*top.toml extends"):
        load_config(top)
    top.write_text("extends = 3")
    with pytest.raises(ConfigError, match="top.toml: extends must be the name of another recipe, is 3"):
        load_config(top)
    (tmp_path / "a/base.toml").write_text('extends = "../middle.toml"')
    with pytest.raises(ConfigError, match="middle.toml: extends itself, by way of .*base.toml"):
        load_config(tmp_path / "middle.toml")


@pytest.mark.parametrize("recipe", sorted(ROOT.glob("recipes/*/*.toml")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_recipe_loads(recipe):
    assert load_config(recipe).data.train


def test_the_two_cold_recipes_differ_in_the_ctc_loss_alone():
    ce, joint = (load_config(ROOT / f"recipes/cold/{name}.toml") for name in ("ce", "joint"))
    assert (ce.model.ctc, ce.train.ctc_weight, joint.model.ctc, joint.train.ctc_weight) == (False, 0.0, True, 0.3)
    assert load_config(ROOT / "recipes/cold/ce.toml", ["model.ctc=true", "train.ctc_weight=0.3"]) == joint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[train]\nlearning_rat = 1",
            "r.toml: train.learning_rat: there is no such setting; did you mean learning_rate?",
        ),
        ("[trian]\n", "r.toml: trian: there is no such setting; did you mean train?"),
        ("[model.encoder]\nzzz = 1", "model.encoder.zzz: there is no such setting; valid are kind, layers, width"),
        ("[train]\nmax_steps = 1.5", "train.max_steps must be a whole number, is 1.5"),
        ("[train]\nmax_steps = true", "train.max_steps must be a whole number, is True"),
        ("[data]\ntrain = 'a'", "data.train must be a list, is 'a'; as a shell takes it: 'data.train=.\"a\".'"),
        ("[data]\ntrain = [1]", r"data.train\[0\] must be a text, is 1"),
        ("data = 1", "data.* must be a section, is 1"),
        ("[model.encoder]\nwidth = 30", "encoder: width 30 must be even and a multiple of heads 4"),
        (
            f"{WINDOW}\n[augment]\ntempo = 0.1",
            "augment.tempo cannot be where features.window_seconds is: set it to 0, or augment.speeds",
        ),
        (
            f"{WINDOW}\n[augment]\nspeeds = [0.5, 1.0]",
            "data.max_seconds 20, at the slowest of augment.speeds, must be within the 30 s of features.window_seconds",
        ),
        ("[train]\nctc_weight = 0.3", "train.ctc_weight 0.3 needs the head it trains: set model.ctc = true"),
        ("[train]\nprecision = 'int8'", "train.precision must be one of bfloat16, float16, float32, is 'int8'"),
        ("[train]\nwarmup_steps = -1", "train.warmup_steps must be 0 or more, is -1"),
        ("[data]\ncache_audio = true\nworkers = 2", "data.cache_audio needs data.workers 0"),
        ("[train", "r.toml: not TOML"),
    ],
)
def test_wrong_settings_are_refused_by_name(toml, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(toml(text))


@pytest.mark.parametrize(
    ("text", "value"), [(".5", 0.5), ("-.5e-1", -0.05), ("1.", 1.0), ("True", True), ("1.2.3", "1.2.3"), ("007", "007")]
)
def test_values_that_toml_does_not_know_are_what_they_look_like(text, value):
    assert parse_override(f"name={text}", "--decode") == ("name", value)


def test_wrong_overrides_are_refused(toml):
    with pytest.raises(ConfigError, match="--set train: must have the form section.key=value"):
        load_config(toml(""), ["train"])
    with pytest.raises(ConfigError, match="no-such.toml: no such file"):
        load_config("no-such.toml")


def test_learning_rate_rises_holds_and_falls():
    config = TrainConfig(max_steps=110, warmup_steps=10, learning_rate=1.0, decay_share=0.5, final_rate=0.1)
    rates = [learning_rate(step, config) for step in range(111)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == rates[60] == 1.0
    assert rates[85] == pytest.approx(0.55)  # half way down
    assert rates[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[60:], rates[61:], strict=False))


def test_nothing_is_no_value_of_a_setting_that_has_one():
    with pytest.raises(ConfigError, match=r"^decode\.rule must be one of own, .*, is None$"):
        DecodeConfig(rule=None)
    with pytest.raises(ConfigError, match=r"^train\.average_of must be one of best, last, ema, is None$"):
        TrainConfig(average_of=None)
    assert TrainConfig(log_every=None).log_every is None
