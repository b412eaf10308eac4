"""asr benchmark says where the time goes."""


def test_benchmark_says_where_the_time_goes(run, model, wav):
    status, out, err = run(
        "benchmark", wav("a.wav", 1.0), wav("b.wav", 2.0), "--model", model, "--rounds", 1, "--beam", 2
    )
    assert (status, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert list(lines) == ["model", "audio", "encoder", "search", "together", "memory", "machine"]
    assert "beam 2, quantize none" in lines["model"] and "2 recordings, 3.0 s" in lines["audio"]
    assert "tokens per second" in lines["search"] and "% of it" in lines["machine"]


def test_benchmark_listens_to_the_language_model(run, model, wav, monkeypatch):
    """To the model's own where there is one, as decoding does."""
    asked = []
    monkeypatch.setattr("asr.catalogue.opening.language_model", lambda *given: asked.append(given[3]))
    assert run("benchmark", wav("a.wav", 1.0), "--model", model, "--rounds", 1)[0] == 0
    assert run("benchmark", wav("a.wav", 1.0), "--model", model, "--rounds", 1, "--lm", "none")[0] == 0
    assert asked == [None, "none"]


def test_benchmark_of_nothing(run, model, wav):
    empty = wav("empty.wav", 0.0)
    status, out, err = run("benchmark", wav("a.wav", 1.0), empty, "--model", model)
    assert (status, out, err) == (1, "", f"asr: {empty}: holds no sound to decode; leave it out\n")
