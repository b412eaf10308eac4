"""A slice of the fuzzing with seeds that never change, and all inputs that ever failed."""

import signal

import pytest

from tests.fuzz.engine import FAILURES, Engine, Tally
from tests.fuzz.keeping import kept
from tests.fuzz.target import Target, all_targets


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine(tmp_path_factory.mktemp("failures")) as engine:
        yield engine


@pytest.mark.parametrize("name", all_targets())
def test_nothing_but_errors_of_the_input(engine, name):
    """`make fuzz` tries many more, and keeps what fails."""
    tally = Tally()
    engine.run(name, 0, all_targets()[name].in_tests, tally)
    assert not tally.failures, f"{engine.keep_in}: " + "\n".join(tally.failures.values())
    assert tally.accepted, "not one seed was read"


@pytest.mark.parametrize("name", [path.name for path in sorted(FAILURES.glob("*.zip"))])
def test_inputs_that_once_failed(engine, name):
    assert not engine.replay(FAILURES / name)


def test_the_engine_sees_what_goes_wrong(tmp_path, monkeypatch):
    """Each kind of failure, from targets made for it, which only the worker of this test knows."""
    monkeypatch.setenv("FUZZ_THE_FUZZER", "1")
    with Engine(tmp_path) as engine:
        for name, said in [
            ("crash", f"died with status {-signal.SIGSEGV}"),
            ("untyped", "IndexError"),
            ("memory", "memory: 1."),
            ("refused memory", "memory ran out"),
        ]:
            tally = Tally()
            engine.run(name, 0, 1, tally)
            (file,) = tally.failures
            assert said in tally.failures[file]
            assert kept(tmp_path / file) == (name, {"a": b"1", "b/c": b"2", "d/": b""})
        assert said in engine.replay(tmp_path / file)


def test_the_same_number_is_the_same_input():
    target = Target(print, lambda: [{"a.json": b'{"x": [1, 2]}', "b.txt": b"some words\nin two lines\n"}])
    inputs = [target.input("name", number) for number in range(300)]
    assert inputs == [target.input("name", number) for number in range(300)]
    assert len({repr(files) for files in inputs}) > 250
