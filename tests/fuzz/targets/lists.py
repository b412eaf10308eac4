"""Lists of utterances and transcripts: manifests, Kaldi folders, tables, what is scored, hot words, token tables."""

from pathlib import Path

from tests.fuzz.mutate import Files
from tests.fuzz.target import Target, run_command

SAMPLES = Path("data/sample")
"""Audio that the lists name, from the root of the repository, where targets run."""
AUDIO = "beijing.flac"
MANIFEST = """\
{"id": "u1", "audio": "a.wav", "duration": 1.25, "text": "今天 天气", "speaker": "s1"}
{"id": "u2", "audio": "b.flac", "start": 0.5, "duration": 3, "text": "很好", "source": "x"}
{"id": "u3", "audio": "a.wav", "start": 2.0, "duration": 0.75, "channel": 1, "text": ""}
"""
JSONL_IMPORT = """\
{"key": "u1", "wav": "a.wav", "txt": "今天天气很好"}
{"key": "u2", "wav": "a.wav", "txt": "很好", "start": 0.1, "end": 0.3, "speaker": "s1"}
{"audio_filepath": "a.wav", "text": "天气", "offset": 0.2, "duration": 0.2, "channel": 0}
"""
TABLE = "path\tsentence\tclient_id\tduration\tstart\na.wav\t今天天气\ts1\t0.4\t0\na.wav\t很好\ts2\t0.2\t0.1\n"
KALDI = {
    "wav.scp": "r1 {audio}\nr2 {audio}\n",
    "text": "u1 今天 天气\nu2 很 好\nu3 是\n",
    "segments": "u1 r1 0.0 0.2\nu2 r1 0.2 0.4\nu3 r2 0.1 0.3\n",
    "utt2spk": "u1 s1\nu2 s1\nu3 s2\n",
}
REFERENCES = {
    "kaldi": "u1 今天天气很好\nu2 我们去公园\nu3 hello world\n",
    "jsonl": '{"id": "u1", "text": "今天天气很好", "speaker": "a"}\n{"id": "u2", "text": "我们去"}\n{"id": "u3", "text": "x"}\n',
    "tsv": "id\ttext\tspeaker\nu1\t今天天气很好\ta\nu2\t我们去公园\tb\nu3\tx\ta\n",
    "plain": "今天天气很好\n我们去公园\n你好 world\n",
}
HYPOTHESES = REFERENCES | {
    "jsonl": '{"id": "u1", "nbest": [{"text": "今天天汽很好"}, {"text": "今天"}]}\n'
    '{"id": "u2", "nbest": ["我们去"]}\n{"id": "u3", "text": ""}\n',
}
RECORDINGS = {
    "trn": "今 天 天 气 (s1-u1)\n很 好 (s2_u2)\n;; a remark\n(u3)\n",
    "stm": ";; CATEGORY\nr1 1 S1 0.00 3.00 <o,f0> 今天天气\nr1 1 S2 3.00 5.50 很好\n"
    "r2 A X 0.0 1.0 IGNORE_TIME_SEGMENT_IN_SCORING\n",
    "ctm": "r1 1 0.10 0.40 今天\nr1 1 2.90 0.40 很 0.98\nr2 A 0.20 0.30 好\n",
    "json": '{"segments": [{"id": 0, "start": 0.0, "text": "今天天气"}, {"text": " 很好"}], "language": "zh"}\n',
    "list.json": '[{"key": "u1", "text": "今天"},\n {"audio_filepath": "d/u2.wav", "offset": 1.5, "pred_text": "很好"}]\n',
}
HOTWORDS = "鲁迅\n王小波\t3.5\n# 注\nGPT 4\n波音 747\n长江 2\n"


def manifests() -> list[Files]:
    return [{"m.jsonl": MANIFEST.encode()}]


def kaldi_folders() -> list[Files]:
    whole = {name: text.format(audio=SAMPLES / AUDIO).encode() for name, text in KALDI.items()}
    return [whole, {name: whole[name] for name in ("wav.scp", "text")} | {"text": "r1 今天\nr2 很好\n".encode()}]


def tables() -> list[Files]:
    return [
        {"t.tsv": TABLE.replace("a.wav", AUDIO).encode()},
        {"t.csv": TABLE.replace("\t", ",").replace("a.wav", AUDIO).encode()},
        {"t.jsonl": JSONL_IMPORT.replace("a.wav", AUDIO).encode()},
    ]


def scored() -> list[Files]:
    return [{f"ref.{_suffix(r)}": REFERENCES[r].encode(), f"hyp.{_suffix(h)}": HYPOTHESES[h].encode()}
            for r in REFERENCES for h in HYPOTHESES if (r == "plain") == (h == "plain")]  # fmt: skip


def recordings_scored() -> list[Files]:
    sides = RECORDINGS | {"txt": REFERENCES["kaldi"]}
    return [{f"ref.{r}": sides[r].encode(), f"hyp.{h}": sides[h].encode()} for r in sides for h in sides]


def read_what_is_scored(folder: Path) -> None:
    from asr.scoring.score import score_files

    ref, hyp = (next(folder.glob(f"{stem}.*"), folder / stem) for stem in ("ref", "hyp"))
    score_files(ref, hyp, unit="mixed").lines()


def _suffix(form: str) -> str:
    return {"kaldi": "txt", "plain": "txt"}.get(form, form)


def read_a_manifest(folder: Path) -> None:
    from asr.corpus.manifest import read_manifest, write_manifest

    write_manifest(folder / "again.jsonl", read_manifest(folder / "m.jsonl"))


def import_a_folder(folder: Path) -> None:
    from asr.corpus.importing import import_corpus
    from asr.corpus.manifest import write_manifest

    write_manifest(folder.parent / "imported.jsonl", import_corpus(folder))


def import_a_table(folder: Path) -> None:
    from asr.corpus.importing import import_corpus
    from asr.corpus.manifest import write_manifest

    write_manifest(folder.parent / "imported.jsonl", import_corpus(_only(folder), SAMPLES))


def list_recordings(folder: Path) -> None:
    from asr.corpus.lists import recordings

    list(recordings(_only(folder)))


def _only(folder: Path) -> Path:
    return next(folder.iterdir(), folder / "none")


def score(folder: Path) -> None:
    def named(stem: str) -> Path:
        return next(folder.glob(f"{stem}.*"), folder / stem)

    out = folder.parent / "out"
    arguments = [
        "--html",
        f"{out}.html",
        "--json",
        f"{out}.json",
        "--details",
        f"{out}.tsv",
        "--by",
        "speaker",
        "--force",
    ]
    run_command("score", named("ref"), named("hyp"), *arguments)


def read_hot_words(folder: Path) -> None:
    from asr.decoding.wordlists import read_hotwords
    from asr.text.tokenizer import CharacterTokenizer, TokenTable

    table = TokenTable(["<blank>", "<unk>", "<sos>", "<eos>", *"鲁迅王小波长江gpt747"[:11]])
    read_hotwords(folder / "h.txt", CharacterTokenizer(table), table, 2.0)


TARGETS = {
    "manifest": Target(read_a_manifest, manifests, in_tests=300),
    "kaldi-folder": Target(import_a_folder, kaldi_folders, in_tests=200),
    "table": Target(import_a_table, tables, in_tests=200),
    "wav-scp": Target(list_recordings, lambda: [{"wav.scp": b"u1 a.wav\nu2 b.wav\n"}, *tables()[2:]], in_tests=200),
    "score": Target(score, scored, in_tests=24),
    "recordings": Target(read_what_is_scored, recordings_scored, in_tests=200),
    "hot-words": Target(read_hot_words, lambda: [{"h.txt": HOTWORDS.encode()}], in_tests=300),
}
