"""benchmarks/mixing.py, in miniature."""

import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import mixing  # noqa: E402


def test_differences_and_their_errors_by_hand():
    found = {2: [(0.02, 0.5, 0.10), (0.02, 0.7, 0.20)], 10: [(0.06, 0.6, 0.10), (0.08, 0.8, 0.24)]}
    assert mixing.table(found)[2:] == [
        "| 2 | 2.00 % | 0.600 | 15.00 % |",
        "| 10 | 7.00 % | 0.700 (+0.100 ± 0.000) | 17.00 % (+2.00 ± 2.00) |",
    ]


def test_a_value_is_what_batches_are_mixed_with(tmp_path, capsys, monkeypatch):
    """Few noisy batches with the first value, many with the second: nothing but that differs."""
    monkeypatch.setattr(mixing, "train", lambda config, out, force: mixed.append(mixing.planning.MIXED) or TOY)
    mixed, TOY = [], ROOT / "tests/fixtures/toy"
    few = ["--batch-seconds", "2"]
    mixing.main(["--out", str(tmp_path), "--seeds", "1", "--train", "120", "--dev", "3", "--mixed", "1", "9", *few])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert mixed == [1, 9] and mixing.planning.MIXED == 2
    paddings = [float(line.split("|")[2].split()[0]) for line in lines[2:]]
    assert 0 < paddings[0] < paddings[1] and lines[3].count("(+0.") == 2  # the same model
