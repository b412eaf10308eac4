"""What is done to good inputs: bytes, lines, words, numbers and JSON are changed, folders lose and swap files."""

import json
from pathlib import PurePath
from random import Random
from typing import Any

Files = dict[str, bytes]
"""One input: the content of its files by relative name; a name that ends with / is an empty folder."""

MOST_BYTES = 1 << 20
"""No mutated file is larger: a program may take longer for what is in fact long."""

INTERESTING = [
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63,
    2**64 - 1,
]

WORDS = [
    *("", "0", "-1", "1", "1.5", "-0.0", "1e-400", "1e400", "-1e309", "9" * 5000, "1" + "0" * 400, "0x10", "1_000", "٣", "½"),
    *("NaN", "nan", "Infinity", "-inf", "null", "None", "true", "~", "[]", "{}", '""', '"', "'", "\\", "[" * 2000, "{" * 2000),
    *('{"a":' * 2000, "(" * 2000, "-" * 2000, "\\ud800", '"\\ud800"', "\\u0000", "\0", "\x1b[31m", "\r", "\n", "\n\n", "\t", " "),
    *("\u2028", "\u202e", "\u3000", "\ufeff", "\u0301", "𠮷", "é", "中" * 300, "x" * 100_000, "2024-01-01", "12:30:45", "1:1"),
    *("&a", "*a", "<<: *a", "!!python/object:os.system", "!!binary aa", "? ", "- ", ": ", "#", "%", "|", ">", "@", "`"),
    *("/etc/passwd", "../../x", "/", ".", "~root", "a/b", "http://127.0.0.1:1/x", "file:///etc/passwd", "con", "a" * 300),
    *("2" * 18, str(2**31), str(2**63), str(2**64), str(10**12), "-2147483649", "1e9", "1e18", "4294967295", "999999999"),
]  # fmt: skip

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), float("-inf")),
    *(255, 65536, 2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**12, 10**400, -(10**12), 10**5),
    *("", "x", "中", "\ud800", "\0", "1", "x" * 10_000, "/etc/passwd", "../x", "\x1b[31m", "nan", "a b", "\n", "<unk>"),
    *([], {}, [[]], [1], ["a"], [None], {"a": 1}, {"": None}, [0] * 5000, ["中"] * 5000, [[[[[[]]]]]], {"a": {"a": {"a": {}}}}),
]  # fmt: skip


def mutate_files(random: Random, seeds: list[Files]) -> Files:
    """A seed with one or two of its files mutated; now and then one is missing, empty, another's, or a folder."""
    files = dict(random.choice(seeds))
    names = sorted(name for name in files if not name.endswith("/"))
    if not names or (len(names) > 1 and random.random() < 0.05):
        return _misplace(random, files, names)
    for name in random.sample(names, random.choice([1, 1, 1, min(2, len(names))])):
        others = [seed[name] for seed in seeds if name in seed]
        files[name] = mutate_file(random, name, files[name], others)
    return files


def _misplace(random: Random, files: Files, names: list[str]) -> Files:
    if not names:
        return files
    name, other = random.choice(names), random.choice(names)
    change = random.randrange(4)
    if change == 0:
        del files[name]
    elif change == 1:
        files[name] = b""
    elif change == 2:
        files[name], files[other] = files[other], files[name]
    else:
        del files[name]
        files[name + "/"] = b""
    return files


def mutate_file(random: Random, name: str, data: bytes, others: list[bytes]) -> bytes:
    """A file's content after one kind of change, which its name helps to choose."""
    suffix = PurePath(name).suffix
    kinds = [mutate_bytes]
    if _is_text(data):
        kinds = [mutate_bytes, mutate_text, mutate_text, mutate_text]
    if suffix in (".json", ".jsonl"):
        kinds += [mutate_json] * 4
    return random.choice(kinds)(random, data, others)[: max(MOST_BYTES, len(data))]


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:1000]


def mutate_bytes(random: Random, data: bytes, others: list[bytes] | None = None) -> bytes:
    """A few bytes changed, integers among them; blocks lost, repeated, moved, or from another seed."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        random.choice(BYTE_CHANGES)(random, changed, others or [data])
    return bytes(changed[: max(MOST_BYTES, len(data))])


def _flip(random: Random, data: bytearray, others: list[bytes]) -> None:
    if data:
        data[_place(random, data)] ^= 1 << random.randrange(8)


def _overwrite(random: Random, data: bytearray, others: list[bytes]) -> None:
    width = random.choice([1, 2, 4, 8])
    number = random.choice(INTERESTING) % (1 << 8 * width)
    start = _place(random, data)
    data[start : start + width] = number.to_bytes(width, random.choice(["little", "big"]))


def _insert(random: Random, data: bytearray, others: list[bytes]) -> None:
    start = _place(random, data)
    data[start:start] = random.randbytes(random.choice([1, 2, 8, 100]))


def _delete(random: Random, data: bytearray, others: list[bytes]) -> None:
    start = _place(random, data)
    del data[start : start + random.choice([1, 2, 16, 1000])]


def _repeat(random: Random, data: bytearray, others: list[bytes]) -> None:
    start = _place(random, data)
    block = data[start : start + random.choice([1, 4, 64, 1000])]
    data[start:start] = block * random.choice([1, 2, 10, 1000])


def _truncate(random: Random, data: bytearray, others: list[bytes]) -> None:
    del data[_place(random, data) :]


def _splice(random: Random, data: bytearray, others: list[bytes]) -> None:
    other = random.choice(others)
    start = random.randrange(len(other) + 1)
    data[_place(random, data) :] = other[start:]


def _place(random: Random, data: bytearray) -> int:
    """Somewhere in the data, and half the time near its beginning, where headers are."""
    end = min(len(data), 200) if random.random() < 0.5 else len(data)
    return random.randrange(end) if end else 0


BYTE_CHANGES = [_flip, _flip, _overwrite, _overwrite, _insert, _delete, _repeat, _truncate, _splice]


def mutate_text(random: Random, data: bytes, others: list[bytes] | None = None) -> bytes:
    """Lines lost, repeated, swapped and joined, and words replaced by what no writer writes."""
    lines = data.split(b"\n")
    for _ in range(random.choice([1, 1, 2, 5])):
        number = random.randrange(len(lines))
        change = random.randrange(8)
        if change == 0:
            del lines[number]
        elif change == 1:
            lines[number:number] = [lines[number]] * random.choice([1, 1, 2, 1000])
        elif change == 2:
            other = random.randrange(len(lines))
            lines[number], lines[other] = lines[other], lines[number]
        else:
            lines[number] = _other_word(random, lines[number])
        lines = lines or [b""]
    return random.choice([b"\n"] * 6 + [b"\r\n", b"\r"]).join(lines)[:MOST_BYTES]


SEPARATORS = b" \t,:=[]{}\"'\r"


def _other_word(random: Random, line: bytes) -> bytes:
    """The line with one of its words replaced, or with something put between two."""
    starts = [i for i in range(len(line) + 1) if i == 0 or line[i - 1] in SEPARATORS]
    start = random.choice(starts)
    end = next((i for i in range(start, len(line)) if line[i] in SEPARATORS), len(line))
    word = random.choice(WORDS).encode("utf-8", "surrogatepass")
    return line[:start] + word + line[end if random.random() < 0.8 else start :]


def mutate_json(random: Random, data: bytes, others: list[bytes] | None = None) -> bytes:
    """A JSON file, or a line of a JSONL file, with values replaced, lost, or under other names."""
    try:
        return dump_json(mutate_value(random, json.loads(data)))
    except ValueError:
        pass
    lines = data.split(b"\n")
    number = random.randrange(len(lines))
    try:
        lines[number] = dump_json(mutate_value(random, json.loads(lines[number])))
    except ValueError:
        return mutate_text(random, data)
    return b"\n".join(lines)


def dump_json(value: object) -> bytes:
    return json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass")


def mutate_value(random: Random, value: Any) -> Any:
    """A copy of nested lists and dicts in which one to three values are absurd, lost, wrapped, or under other names."""
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        value = _replace(random, value, random.choice(list(_paths(value))))
    return value


def _paths(value: Any, path: tuple = ()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index in range(min(len(value), 50)):  # the rest are like these
            yield from _paths(value[index], (*path, index))


def _replace(random: Random, value: Any, path: tuple) -> Any:
    if not path:
        return _absurd(random, value)
    key, rest = path[0], path[1:]
    inner = value[key]
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest or random.random() < 0.8:
        copy[key] = _replace(random, inner, rest)
    elif random.random() < 0.5:
        del copy[key]
    elif isinstance(copy, dict):
        copy[random.choice([f"{key}x", "", 0, "\x1b[2J", "x" * 5000])] = copy.pop(key)
    else:
        copy.insert(key, inner)
    return copy


def _absurd(random: Random, value: Any) -> Any:
    """Most often of another kind or size; now and then the value itself, in a list, negative, or far larger."""
    if random.random() < 0.3:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return random.choice([-value, value + 1, value - 1, value * 1000, value // 2, str(value), [value]])
        if isinstance(value, str):
            return random.choice([value + "x", value * 50, value[:-1], [value], value.upper(), "\n" + value])
        if isinstance(value, list):
            return random.choice([value * 50, value[:-1], value[::-1], dict(enumerate(value)), [value], [*value, None]])
    return random.choice(VALUES)
