from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.corpus.batching import Batch, BatchReader, DataConfig, check_texts, drop_tokens, make_batch, weighed
from asr.corpus.manifest import Utterance
from asr.corpus.planning import plan_batches
from asr.errors import ConfigError, ManifestError
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from tests.sounds import noise, write_wav

TOKENIZER = CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"你好再见"]))
DURATIONS = np.random.default_rng(0).uniform(0.05, 25, 500).tolist()
CONFIG = DataConfig(batch_seconds=60, max_utterances=12, min_seconds=0.5, max_seconds=20)


def batches_of(durations, config, seed, epoch, **more) -> list[list[int]]:
    return list(plan_batches(durations, config, seed, epoch, **more))


def test_every_utterance_within_the_limits_comes_once():
    plan = batches_of(DURATIONS, CONFIG, seed=1, epoch=0)
    expected = [i for i, seconds in enumerate(DURATIONS) if 0.5 <= seconds <= 20]
    assert 0 < len(expected) < 500
    assert sorted(i for batch in plan for i in batch) == expected


def test_no_batch_is_larger_than_asked():
    plan = batches_of(DURATIONS, CONFIG, seed=1, epoch=0)
    assert max(max(DURATIONS[i] for i in batch) * len(batch) for batch in plan) <= 60
    assert max(map(len, plan)) == 12
    assert sum(DURATIONS[i] for batch in plan for i in batch) > 0.75 * 60 * len(plan)


def test_utterances_that_are_filled_up_to_a_window_count_as_long():
    plan = batches_of(DURATIONS, CONFIG, 1, 0, window=20.0)
    assert sorted(map(len, plan))[1:] == [3] * (len(plan) - 1)
    assert batches_of(DURATIONS, CONFIG, 1, 0, window=0.1) == batches_of(DURATIONS, CONFIG, 1, 0)


def test_an_utterance_longer_than_a_batch_is_one_alone():
    assert batches_of([5, 5.5], DataConfig(batch_seconds=3, curriculum_epochs=1), 0, 0) == [[0], [1]]


def test_limits_belong_to_what_is_kept():
    config = DataConfig(min_seconds=1, max_seconds=2)
    assert sorted(batches_of([0.99, 1, 1.5, 2, 2.01], config, 0, 0)[0]) == [1, 2, 3]
    assert batches_of([0.5], config, 0, 0) == [] == batches_of([], config, 0, 0)


def test_the_plan_is_a_function_of_seed_and_epoch():
    plans = {(s, e): batches_of(DURATIONS, CONFIG, s, e) for s in (1, 2) for e in (0, 1)}
    for (seed, epoch), plan in plans.items():
        torch.rand(3)
        assert batches_of(DURATIONS, CONFIG, seed, epoch) == plan
    members = {key: {frozenset(batch) for batch in plan} for key, plan in plans.items()}
    assert all(members[a] != members[b] for a in plans for b in plans if a != b)


def test_curriculum_epochs_come_shortest_first_and_later_ones_do_not():
    config = DataConfig(batch_seconds=60, max_seconds=25, curriculum_epochs=2)
    for epoch, in_order in ((0, True), (1, True), (2, False)):
        plan = batches_of(DURATIONS, config, 1, epoch)
        means = np.array([np.mean([DURATIONS[i] for i in batch]) for batch in plan])
        assert (np.diff(means) > -0.2 * means[:-1]).all() == in_order  # durations are sorted with noise


@pytest.mark.parametrize("lead", [0, 1, 3])
def test_the_batches_of_a_step_are_of_similar_length(lead):
    """Behind those that complete a step of the epoch before; what is left at the end begins the next one's."""
    by_length = batches_of(DURATIONS, replace(CONFIG, curriculum_epochs=1), 1, 0)
    plan = batches_of(DURATIONS, CONFIG, 1, 0, steps=(4, lead))
    places = [by_length.index(batch) for batch in plan]
    steps = [places[:lead], *(places[i : i + 4] for i in range(lead, len(plan), 4))]
    assert sorted(places) == list(range(len(by_length))) and len(steps) >= 20
    assert all(step == list(range(step[0], step[0] + len(step))) for step in steps if step)
    assert [step[0] for step in steps if step] != sorted(step[0] for step in steps if step)


def test_little_is_padded():
    """Of utterances of 1.5 to 15 s, most of 3 to 7."""
    durations = np.random.default_rng(1).lognormal(1.5, 0.4, 20_000).clip(1.5, 15)
    plan = plan_batches(durations.tolist(), DataConfig(batch_seconds=80), 1, 0)
    padded = sum(len(batch) * durations[batch].max() for batch in plan)
    assert durations.sum() < padded < durations.sum() / 0.97


def test_make_batch_by_hand():
    samples = [np.array([0.25, -0.5], np.float32), np.full(4001, 0.125, np.float32)]
    batch = make_batch(["a", "b"], samples, [[4, 5, 6], [7]], TOKENIZER)
    assert batch.ids == ("a", "b")
    assert batch.samples.shape == (2, 4001) and batch.lengths.tolist() == [2, 4001]
    assert batch.samples[0, :3].tolist() == [0.25, -0.5, 0] and (batch.samples[0, 2:] == 0).all()
    assert (batch.samples[1, :4001] == 0.125).all() and (batch.samples[1, 4001:] == 0).all()
    assert batch.inputs.tolist() == [[2, 4, 5, 6], [2, 7, 3, 3]]
    assert batch.targets.tolist() == [[4, 5, 6, 3], [7, 3, -1, -1]]


def test_token_lengths_are_rounded_up():
    batch = make_batch(["a", "b"], [np.zeros(9)] * 2, [[4, 5, 6, 7], []], TOKENIZER)
    assert batch.inputs.tolist() == [[2, 4, 5, 6, 7, 3, 3, 3], [2] + [3] * 7]
    assert batch.targets.tolist() == [[4, 5, 6, 7, 3, -1, -1, -1], [3] + [-1] * 7]


@pytest.fixture
def utterances(tmp_path) -> list[Utterance]:
    """Six utterances, two in each of three files of 16 bits."""
    result = []
    for n in range(3):
        path = write_wav(tmp_path / f"{n}.wav", noise(1, seed=n), subtype="PCM_16")
        result += [
            Utterance(f"{n}-1", path, 0.4 + n / 10, "你好"),
            Utterance(f"{n}-2", path, 0.3, "再见", start=0.7),
        ]
    return result


PLAN = [[0, 2], [5], [1, 3, 4]]


def equal(first: Batch, second: Batch) -> bool:
    return first.ids == second.ids and all(
        torch.equal(getattr(first, name), getattr(second, name)) for name in ("samples", "lengths", "inputs", "targets")
    )


def test_a_batch_holds_the_parts_of_the_files(utterances):
    first, _, third = BatchReader(utterances, TOKENIZER).iterate(PLAN)
    assert first.ids == ("0-1", "1-1") and first.lengths.tolist() == [6400, 8000]
    assert third.ids == ("0-2", "1-2", "2-1") and third.lengths.tolist() == [4800, 4800, 9600]
    assert np.allclose(third.samples[1, :4800], noise(1, seed=1)[11200:], atol=1e-4)
    assert third.targets.tolist() == [[6, 7, 3, -1], [6, 7, 3, -1], [4, 5, 3, -1]]


def test_parts_of_a_batch_are_the_batch(utterances):
    """Of three utterances two processes get two and one, with what of the batch's tokens they have; the third part is empty."""
    first, second = (next(BatchReader(utterances, TOKENIZER).iterate(PLAN[2:], part=(n, 2))) for n in (0, 1))
    assert first.ids == ("0-2", "2-1") and second.ids == ("1-2",)
    assert (first.tokens, second.tokens) == (6, 3)
    first, second = weighed([first, second], 9, 3)
    assert (first.share, second.share) == (6 / 9, 3 / 9) and (first.ctc_share, second.ctc_share) == (4 / 6, 2 / 6)
    parts = [next(BatchReader(utterances, TOKENIZER).iterate([[0, 2]], part=(n, 3))).ids for n in range(3)]
    assert parts == [("0-1",), ("1-1",), ()]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_finds_batches_where_it_can_read_them(utterances):
    for batch in BatchReader(utterances, TOKENIZER).iterate(PLAN, for_gpu=True):
        assert not batch.ids or batch.samples.is_pinned() and batch.targets.is_pinned()


def test_joined_utterances_follow_each_other(utterances):
    first, second, third = BatchReader(utterances, TOKENIZER, join=1.0, longest=1.0).iterate(PLAN)
    apart = list(BatchReader(utterances, TOKENIZER).iterate(PLAN))
    assert first.ids == ("0-1", "1-1") and first.lengths.tolist() == [6400 + 8000]
    assert torch.equal(first.samples[0, 6400:14400], apart[0].samples[1, :8000])
    assert first.inputs.tolist() == [[2, 4, 5, 4, 5, 3, 3, 3]] and first.targets[0, :5].tolist() == [4, 5, 4, 5, 3]
    assert second.lengths.tolist() == [4800]  # nobody is left to join
    assert third.lengths.tolist() == [9600, 9600]  # two of three
    longer = BatchReader(utterances, TOKENIZER, join=1.0, longest=0.7).iterate(PLAN)
    assert [batch.lengths.tolist() for batch in longer] == [[6400, 8000], [4800], [9600, 9600]]


def test_a_share_of_the_batches_is_joined_the_same_ones_each_time(utterances):
    plan = [[i % 6, (i + n) % 6] for n in range(1, 6) for i in range(6)]
    reader = BatchReader(utterances, TOKENIZER, join=0.5)
    joined = [len(batch.lengths) == 1 for batch in reader.iterate(plan)]
    assert 8 < sum(joined) < 22
    assert joined == [len(batch.lengths) == 1 for batch in reader.iterate(plan, workers=1)]
    assert joined[7:] == [len(batch.lengths) == 1 for batch in reader.iterate(plan, first=7)]


def test_a_space_stands_between_joined_latin_words(tmp_path):
    path = write_wav(tmp_path / "a.wav", noise(1), subtype="PCM_16")
    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", "你", "O", "K", "▁"])
    words = [Utterance(str(i), path, 0.5, text) for i, text in enumerate(("你ok", "OK", "你"))]
    batches = BatchReader(words, CharacterTokenizer(table), join=1.0).iterate([[0, 1], [1, 2]])
    assert [batch.targets[0].tolist()[:7] for batch in batches] == [[4, 5, 6, 7, 5, 6, 3], [5, 6, 4, 3]]


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_starting_later_gives_the_rest(utterances, first):
    reader = BatchReader(utterances, TOKENIZER)
    whole = list(reader.iterate(PLAN))
    rest = list(reader.iterate(PLAN, first=first))
    assert len(whole) == 3 and len(rest) == 3 - first
    assert all(equal(a, b) for a, b in zip(whole[first:], rest, strict=True))


def test_reading_leaves_torchs_random_state_alone(utterances):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(BatchReader(utterances, TOKENIZER).iterate(PLAN))
    batches_of(DURATIONS, CONFIG, 1, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_workers_give_the_same_batches(utterances):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    reader = BatchReader(utterances, TOKENIZER)
    alone, together = list(reader.iterate(PLAN)), list(reader.iterate(PLAN, workers=2))
    assert all(equal(a, b) for a, b in zip(alone, together, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_cached_audio_is_the_same_within_16_bits(utterances):
    fresh = list(BatchReader(utterances, TOKENIZER).iterate(PLAN))
    reader = BatchReader(utterances, TOKENIZER, cache_audio=True)
    once = list(reader.iterate(PLAN))
    for path in {utterance.audio for utterance in utterances}:
        Path(path).unlink()
    again = list(reader.iterate(PLAN))
    for a, b, c in zip(fresh, once, again, strict=True):
        assert (a.samples - b.samples).abs().max() <= 1 / 32767 and equal(b, c)


def test_samples_beyond_full_scale_are_clipped(tmp_path):
    """Cached in 16 bits they would turn to the other side."""
    path = write_wav(tmp_path / "a.wav", np.array([0.5, 1.5, -3.0], np.float32))
    for cache in (False, True):
        reader = BatchReader([Utterance("a", path, 3 / 16000, "你")], TOKENIZER, cache_audio=cache)
        assert np.allclose(next(iter(reader.iterate([[0]]))).samples[0, :3], [0.5, 1, -1], atol=1e-4)


def test_characters_the_table_lacks_are_counted():
    texts = ["你好", "你们好", "我们，再见"]
    utterances = [Utterance(str(i), Path("a.wav"), 1, text) for i, text in enumerate(texts)]
    assert check_texts(utterances, TOKENIZER) == {"们": 2, "我": 1}
    assert check_texts(utterances[:1], TOKENIZER) == {}


@pytest.mark.parametrize("text", ["我们", "……", ""])
def test_a_text_without_a_known_character_is_refused(text):
    utterance = Utterance("u1", Path("a.wav"), 1, text, where="m.jsonl:7")
    message = rf"m\.jsonl:7: text must hold a character of the token table, is '{text}' \(u1\); correct the line or"
    with pytest.raises(ManifestError, match=message):
        check_texts([utterance], TOKENIZER)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_seconds": 0}, r"data\.batch_seconds must be above 0, is 0"),
        ({"max_utterances": -1}, r"data\.max_utterances must be above 0, is -1"),
        ({"min_count": 0}, r"data\.min_count must be above 0, is 0"),
        ({"workers": -2}, r"data\.workers must be 0 or more, is -2"),
        ({"curriculum_epochs": -1}, r"data\.curriculum_epochs must be 0 or more, is -1"),
        ({"min_seconds": 30}, r"data\.min_seconds 30 must be below data\.max_seconds 20"),
        ({"cache_audio": True, "workers": 2}, r"data\.cache_audio needs data\.workers 0"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        DataConfig(**values)


def test_dropped_tokens_become_unk_and_sos_stays():
    torch.manual_seed(0)
    inputs = torch.full((200, 11), 7)
    inputs[:, 0] = 2
    dropped = drop_tokens(inputs, 0.3, unk=1)
    assert (dropped[:, 0] == 2).all() and set(dropped[:, 1:].unique().tolist()) == {1, 7}
    assert (dropped[:, 1:] == 1).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (inputs == 1).sum() == 0  # the batch itself is left as it was
