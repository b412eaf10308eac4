"""Who is served first among those who speak at once. Recognizers and utterances are made up; no verdict hangs on a clock."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from asr.decoding.search import Hypothesis
from asr.errors import Cancelled
from asr.recognition.recognized import Recognized
from asr.serving.live_streams import LiveStreams
from asr.serving.scheduler import Scheduler
from asr.text.tokenizer import CharacterTokenizer, TokenTable
from asr.transcription.pieces import Piece
from asr.transcription.stream_utterances import Due, Heard

TOKENIZER = CharacterTokenizer(TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"你好吗"]))


class Script:
    """In the place of StreamUtterances: what is due of each part that is heard."""

    def __init__(self, *parts: list[Due]):
        self.parts, self.number, self.text, self.speaking = list(parts), 1, "", None
        self.over: list[Due] = []

    def add(self, samples, look):
        return self.parts.pop(0)

    def wants(self, due):
        return due.result is None and due not in self.over

    def heard(self, due):
        self.text = due.result.text
        return Heard(self.text, 0, False, 0.0, 1.0)


def due(**kind) -> Due:
    return Due(Piece(0, np.zeros(16000, np.float32)), 1, **kind)


def found():
    return Recognized("好", Hypothesis((), 0.0, ()))


class Ear:
    """In the place of a Recognizer. `during` is called at each step of a decoding, with what tells it to stop."""

    def __init__(self, name: str, done: list[str], during=None):
        self.name, self.done, self.during = name, done, during

    def recognize(self, pieces, timed, cancelled, known):
        if self.during:
            self.during(cancelled)
        self.done.append(self.name)
        return [[found()] for _ in pieces]


def meet(scenario):
    """Runs it with the streams and a function that makes one of a script."""

    async def run():
        streams = LiveStreams(SimpleNamespace(loaded=SimpleNamespace(tokenizer=TOKENIZER)), Scheduler())

        def stream(script: Script, quick: Ear, full: Ear):
            streams.__dict__["quick"] = quick
            streams.transcriber.recognizer = full
            return streams.stream(script)

        return await asyncio.wait_for(scenario(streams, stream), 60)

    return asyncio.run(run())


SAMPLES = np.zeros(1, np.float32)


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_what_is_over_does_not_wait_for_what_will_be_replaced():
    """Somebody's open utterance is being decoded: another one's last is decoded meanwhile, and the first is heard on."""
    done: list[str] = []

    async def scenario(streams, stream):
        second_done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def during(cancelled):
            loop.call_soon_threadsafe(second_done.set)
            while "final" not in done:
                assert not cancelled()

        first = stream(Script([due()], []), Ear("look", done, during), Ear("final", done))
        second = stream(Script([due(full=True, final=True)]), Ear("look", done), Ear("final", done))
        await streams.hear(first, SAMPLES)  # is answered before its look is over
        await second_done.wait()
        said = await streams.hear(second, SAMPLES)
        assert len(said.over) == 1 and done == ["final"] or done == ["final", "look"]
        await until(lambda: first.open)
        assert done == ["final", "look"] and first.take().text == "好" and first.take() is None

    meet(scenario)


def test_what_becomes_final_while_it_is_decoded_is_decoded_once():
    done: list[str] = []

    async def scenario(streams, stream):
        loop, begun, ending = asyncio.get_running_loop(), asyncio.Event(), due(full=True)

        def during(cancelled):
            loop.call_soon_threadsafe(begun.set)
            while not ending.final:
                assert not cancelled()

        class Ends(Script):
            def add(self, samples, look):
                if not self.parts:
                    ending.final = True
                    return [ending]
                return super().add(samples, look)

        one = stream(Ends([ending]), Ear("look", done), Ear("full", done, during))
        await streams.hear(one, SAMPLES)
        await begun.wait()
        said = await streams.hear(one, SAMPLES)
        assert len(said.over) == 1 and done == ["full"]

    meet(scenario)


def test_what_nobody_wants_any_more_is_given_up():
    done: list[str] = []

    async def scenario(streams, stream):
        loop, begun, given_up = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def during(cancelled):
            loop.call_soon_threadsafe(begun.set)
            while not cancelled():
                pass
            loop.call_soon_threadsafe(given_up.set)
            raise Cancelled("given up")

        one = stream(Script([due()]), Ear("look", done, during), Ear("full", done))
        await streams.hear(one, SAMPLES)
        await begun.wait()
        one.gone = True
        await given_up.wait()
        other = stream(Script([due(full=True, final=True)]), Ear("look", done), Ear("full", done))
        assert len((await streams.hear(other, SAMPLES)).over) == 1 and done == ["full"]

    meet(scenario)


def test_a_look_that_fails_is_told_to_whom_it_was_for():
    done: list[str] = []

    async def scenario(streams, stream):
        def fails(cancelled):
            raise ZeroDivisionError("what")

        one = stream(Script([due()]), Ear("look", done, fails), Ear("full", done))
        await streams.hear(one, SAMPLES)
        await until(lambda: one.error)
        with pytest.raises(ZeroDivisionError):
            one.take()
        other = stream(Script([due(full=True, final=True)]), Ear("look", done), Ear("full", done))
        assert len((await streams.hear(other, SAMPLES)).over) == 1

    meet(scenario)


def test_text_that_will_be_replaced_leaves_time_for_the_rest():
    """A first text and what seems to be over never wait for that, what is open does."""
    done: list[str] = []

    async def scenario(streams, stream):
        streams.pace.until = float("inf")
        script = Script([due()], [due(full=True)], [due()], [])
        one = stream(script, Ear("look", done), Ear("full", done))
        await streams.hear(one, SAMPLES)
        await until(lambda: done == ["look"])
        await streams.hear(one, SAMPLES)
        await until(lambda: done == ["look", "full"])
        streams.pace.until = float("inf")
        await streams.hear(one, SAMPLES)
        await streams.hear(one, SAMPLES)
        assert done == ["look", "full"]

    meet(scenario)


def test_a_first_text_is_not_put_off_by_what_is_said_meanwhile():
    """While it is looked for more is heard, in which there is no text yet either."""
    done: list[str] = []

    async def scenario(streams, stream):
        loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), []
        depth: list[int] = []

        def during(cancelled):
            depth.append(len(depth) + 1)
            loop.call_soon_threadsafe(begun.set)
            while not go_on:
                assert not cancelled()
            assert depth.pop() == 1, "it was put off"

        one = stream(Script([due()], [due()], [due()], []), Ear("look", done, during), Ear("full", done))
        await streams.hear(one, SAMPLES)
        await begun.wait()
        for _ in range(2):
            await streams.hear(one, SAMPLES)
        assert not done
        go_on.append(True)
        await until(lambda: one.open)
        assert one.take().text == "好"

    meet(scenario)
