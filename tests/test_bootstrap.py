"""How far a figure may be trusted: intervals that cover, p-values that do not cry wolf."""

import numpy as np
import pytest

from asr.scoring import bootstrap
from asr.scoring.bootstrap import paired_difference, rate_interval


@pytest.fixture
def quick(monkeypatch):
    """Fewer resamples, for tests that simulate hundreds of test sets."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 500)


def simulated(random: np.random.Generator, speakers: int, per_speaker: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Errors, lengths and speakers of a test set whose true rate is 0.1; speakers differ, utterances differ within them."""
    hard = random.beta(4, 36, speakers).repeat(per_speaker)
    rates = random.beta(20 * hard, 20 * (1 - hard))
    lengths = random.integers(4, 25, len(rates))
    names = [f"S{n // per_speaker}" for n in range(len(rates))]
    return random.binomial(lengths, rates), lengths, names


@pytest.mark.slow
@pytest.mark.parametrize(("speakers", "per_speaker"), [(400, 1), (10, 30), (40, 10)])
def test_the_interval_covers_the_truth(quick, speakers, per_speaker):
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(500):
        errors, lengths, names = simulated(random, speakers, per_speaker)
        interval = rate_interval(errors, lengths, names)
        assert interval.over == "speakers"
        covered += interval.low <= 0.1 <= interval.high
    print(f"{speakers} speakers: {covered / 5:.1f} % of 500 intervals cover the truth")
    assert 0.92 <= covered / 500 <= 0.98


@pytest.mark.slow
def test_the_interval_over_utterances_covers_the_truth(quick):
    random = np.random.default_rng(8)
    covered = 0
    for _ in range(500):
        lengths = random.integers(4, 25, 300)
        errors = random.binomial(lengths, random.beta(1, 9, 300))
        interval = rate_interval(errors, lengths)
        covered += interval.low <= 0.1 <= interval.high
    print(f"{covered / 5:.1f} % of 500 intervals cover the truth")
    assert 0.92 <= covered / 500 <= 0.98


def test_an_interval_over_utterances_is_too_narrow_for_few_speakers():
    errors, lengths, names = simulated(np.random.default_rng(3), 12, 50)
    over_speakers, over_utterances = rate_interval(errors, lengths, names), rate_interval(errors, lengths)
    assert (over_speakers.over, over_speakers.n) == ("speakers", 12)
    assert (over_utterances.over, over_utterances.n) == ("utterances", 600)
    assert over_speakers.high - over_speakers.low > 1.3 * (over_utterances.high - over_utterances.low)


def test_nine_speakers_are_too_few_and_so_is_one_without_a_name():
    errors, lengths, names = simulated(np.random.default_rng(3), 9, 50)
    assert rate_interval(errors, lengths, names).over == "utterances"
    errors, lengths, names = simulated(np.random.default_rng(3), 12, 50)
    assert rate_interval(errors, lengths, ["", *names[1:]]).over == "utterances"


def test_the_same_as_drawing_one_by_one():
    """Equal rows are drawn together; the distribution is that of drawing utterances."""
    random = np.random.default_rng(1)
    lengths = random.integers(1, 6, 60)
    errors = random.binomial(lengths, 0.3)
    picks = random.integers(0, 60, (20_000, 60))
    rates = errors[picks].sum(1) / lengths[picks].sum(1)
    interval = rate_interval(errors, lengths)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(rates, [0.025, 0.975]), abs=0.008)


def test_no_interval_where_there_is_nothing_to_go_by():
    assert rate_interval([1] * 9, [5] * 9) is None
    assert rate_interval([0] * 20, [5] * 20) is None
    assert rate_interval([1] * 20, [0] * 20) is None
    assert rate_interval([0, 1] * 5, [5] * 10) is not None


def test_the_same_input_gives_the_same_interval():
    errors, lengths, _ = simulated(np.random.default_rng(3), 100, 1)
    assert rate_interval(errors, lengths) == rate_interval(errors, lengths)


@pytest.mark.slow
@pytest.mark.parametrize(("speakers", "per_speaker"), [(300, 1), (12, 25)])
def test_equal_systems_are_rarely_called_different(quick, speakers, per_speaker):
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(400):
        hard = random.beta(4, 36, speakers).repeat(per_speaker)
        lengths = random.integers(4, 25, len(hard))
        a, b = random.binomial(lengths, hard), random.binomial(lengths, hard)
        names = [f"S{n // per_speaker}" for n in range(len(hard))]
        alarms += paired_difference(a, b, lengths, names).p_value < 0.05
    print(f"{alarms / 4:.1f} % of 400 equal pairs have p < 0.05")
    assert alarms / 400 < 0.09


def test_a_small_difference_shows_in_pairs():
    """One error less in every tenth utterance: hidden by the spread of each system alone, plain in the pairs."""
    random = np.random.default_rng(6)
    lengths = random.integers(5, 25, 500)
    a = random.binomial(lengths, random.beta(1, 9, 500))
    b = np.where((np.arange(500) % 10 == 0) & (a > 0), a - 1, a)
    found = paired_difference(a, b, lengths)
    assert found.cer == pytest.approx((b.sum() - a.sum()) / lengths.sum())
    assert found.p_value < 0.001 and found.interval.high < 0
    assert rate_interval(a, lengths).low < b.sum() / lengths.sum()  # each alone would not tell
    back = paired_difference(b, a, lengths)
    assert back.cer == -found.cer and back.interval.low == pytest.approx(-found.interval.high)


def test_pairs_without_a_test():
    same = paired_difference([1, 0] * 10, [1, 0] * 10, [5] * 20)
    assert (same.cer, same.p_value, same.interval) == (0.0, 1.0, None)
    few = paired_difference([1] * 9, [0] * 9, [5] * 9)
    assert (few.cer, few.p_value, few.interval, few.n) == (-0.2, None, None, 9)


@pytest.mark.parametrize(("better", "p"), [(1, 1.0), (2, 0.5), (4, 0.125), (5, 0.0625), (6, 0.03125)])
def test_few_utterances_that_differ_prove_as_much_as_coins(better, p):
    """By hand: heads so often in a row, or tails, is 2 · 0.5 ** better."""
    found = paired_difference([1] * 40, [0] * better + [1] * (40 - better), [5] * 40)
    assert found.p_value == pytest.approx(p) and found.p_text == f"p = {p:.3f}"


def test_many_that_differ_are_judged_by_the_bootstrap():
    found = paired_difference([1] * 40, [0] * 20 + [1] * 20, [5] * 40)
    assert found.p_value < 0.002 and found.is_bound
