"""A loaded model in several threads and processes, pickled and copied."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import asr
from asr.catalogue.opening import open_model
from asr.errors import AsrError, Cancelled, CheckpointError
from asr.model.folder import save_model
from asr.transcription.transcriber import Transcriber
from tests.conftest import ROOT, random_model
from tests.sounds import speech

RECORDINGS = [(speech(1.0 + seed / 4, seed=seed), 16000) for seed in range(4)]


@pytest.fixture
def transcriber(tmp_path, tokenizer):
    save_model(tmp_path / "model", random_model(), tokenizer.table)
    word = tokenizer.table.tokens[-1]
    return asr.load(tmp_path / "model", "cpu", beam=2, decode={"length_bonus": 0.5}, hotwords={word: 3.0})


def said(transcript: asr.Transcript) -> list[tuple[str, float, float]]:
    """What is the same wherever it is computed: scores may differ in their last bits."""
    return [(token.text, token.start, token.end) for segment in transcript.segments for token in segment.tokens]


def test_a_pickle_gives_the_same_texts_from_any_folder(transcriber, tmp_path, monkeypatch):
    expected = said(transcriber.transcribe(RECORDINGS[0]))
    monkeypatch.chdir(tmp_path)
    near = asr.load("model", "cpu", beam=2)
    pickles = [pickle.dumps(transcriber), pickle.dumps(near)]
    monkeypatch.chdir(ROOT)
    again, near = map(pickle.loads, pickles)
    assert said(again.transcribe(RECORDINGS[0])) == expected != []
    assert again.recognizer.config == transcriber.recognizer.config and again.segments == transcriber.segments
    assert again.recognizer.hotwords == transcriber.recognizer.hotwords
    assert near.transcribe(RECORDINGS[0]).model == "model" and max(map(len, pickles)) < 5000


def test_a_copy_is_another_one(transcriber):
    for same in (copy.deepcopy(transcriber), copy.copy(transcriber)):
        assert same is not transcriber and same.recognizer is not transcriber.recognizer
        assert said(same.transcribe(RECORDINGS[0])) == said(transcriber.transcribe(RECORDINGS[0]))


def test_a_pickle_of_a_model_that_has_changed_is_refused(transcriber, tmp_path, tokenizer):
    pickled = pickle.dumps(transcriber)
    save_model(tmp_path / "model", random_model(seed=1), tokenizer.table)
    with pytest.raises(CheckpointError, match="model: holds another model than when the Transcriber of it was pickled"):
        pickle.loads(pickled)


def test_what_load_did_not_make_is_not_pickled(transcriber, tmp_path):
    with pytest.raises(AsrError, match="only a Transcriber that asr.load has made can be pickled or copied"):
        pickle.dumps(Transcriber(open_model(tmp_path / "model", "cpu")))


def test_results_are_plain_data(transcriber):
    transcript = transcriber.transcribe(RECORDINGS[0])
    assert pickle.loads(pickle.dumps(transcript)) == copy.deepcopy(transcript) == transcript


def test_threads_get_the_texts_that_one_gets(transcriber):
    expected = [said(transcriber.transcribe(audio)) for audio in RECORDINGS]
    with ThreadPoolExecutor(4) as pool:
        assert [said(transcript) for transcript in pool.map(transcriber.transcribe, RECORDINGS * 3)] == expected * 3


def test_what_one_thread_cancels_goes_on_in_another(transcriber):
    """Both decode at the same time: each waits within the search until the other is there."""
    expected, both, asked = (
        said(transcriber.transcribe(RECORDINGS[0])),
        threading.Barrier(2, timeout=60),
        threading.local(),
    )

    def cancels(answer: bool):
        def cancelled() -> bool:
            asked.times = getattr(asked, "times", 0) + 1
            if asked.times == 3:
                both.wait()
            return answer and asked.times >= 3

        return cancelled

    with ThreadPoolExecutor(2) as pool:
        given_up, whole = (
            pool.submit(transcriber.transcribe, RECORDINGS[0], cancelled=cancels(a)) for a in (True, False)
        )
        assert said(whole.result(60)) == expected
        with pytest.raises(Cancelled):
            given_up.result(60)


@pytest.mark.slow
@pytest.mark.parametrize("start", sorted({"fork", "spawn"} & {*multiprocessing.get_all_start_methods()}))
def test_processes_of_a_pool_load_it_again(transcriber, start):
    expected = [said(transcriber.transcribe(audio)) for audio in RECORDINGS]
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert [said(one) for one in pool.map(transcriber.transcribe, RECORDINGS, timeout=120)] == expected


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_goes_on_with_it(model):
    """PyTorch's threads do not live on in it: a step that is shared between them would wait for ever."""
    code = f"""
import os, torch, asr
from tests.sounds import speech
torch.set_num_threads(4)
model = asr.load({str(model)!r}, "cpu", decode={{"max_chars_per_second": 1}})
a = torch.ones(300, 300); a @ a
text = model.transcribe((speech(3.0), 16000)).text
child = os.fork()
if not child:
    torch.ones(300, 300) @ a
    os._exit(model.transcribe((speech(3.0), 16000)).text != text)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "4"}, timeout=120
    )
    assert done.returncode == 0


def test_the_same_model_in_another_way(transcriber, tmp_path, tokenizer):
    words = tokenizer.table.tokens[-2:]
    other = transcriber.changed(beam=1, decode={"length_power": 0.5}, hotwords=words[:1])
    again = asr.load(
        tmp_path / "model", "cpu", decode={"beam": 1, "length_bonus": 0.5, "length_power": 0.5}, hotwords=words[:1]
    )
    for one in (other, pickle.loads(pickle.dumps(other))):
        assert one.recognizer.config == again.recognizer.config and one.recognizer.hotwords == again.recognizer.hotwords
        assert said(one.transcribe(RECORDINGS[0])) == said(again.transcribe(RECORDINGS[0]))
    assert other.loaded is transcriber.loaded and other.recognizer.model is transcriber.recognizer.model
    assert transcriber.recognizer.config.beam == 2 and set(transcriber.recognizer.hotwords.words.values()) == {words[1]}
    assert transcriber.changed(beam=1).recognizer.hotwords == transcriber.recognizer.hotwords
    assert transcriber.changed(hotwords=[]).recognizer.hotwords is None
    assert pickle.loads(pickle.dumps(transcriber.changed(hotwords=[]))).recognizer.hotwords is None
    with pytest.raises(AsrError, match=r"decode.baem: there is no such setting; did you mean beam\?"):
        transcriber.changed(decode={"baem": 1})
    with pytest.warns(
        UserWarning, match="hot words with characters that the model cannot write are left out: 龘"
    ) as told:
        transcriber.changed(hotwords=["龘"])
    assert told[0].filename == __file__
