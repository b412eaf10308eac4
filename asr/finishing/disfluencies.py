"""What speech has and writing leaves out: hesitations (嗯, 呃) and words that were begun again (我我我, 那个那个).

Repetition is grammar more often than not: 看看, 慢慢, 一个一个, 谢谢谢谢 say something, and 现在在家 repeats nothing. So
only words are joined that no rule of grammar repeats, pronouns above all, and only whole words, which jieba parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.errors import AsrError
from asr.extras import brings
from asr.text.words import in_words, knows_words
from asr.transcript import Segment, TranscriptToken

HESITATIONS = frozenset("嗯呃唔")
"""They mean nothing but that something is to come; alone in a segment 嗯 is an answer, and stays."""
BEFORE_SPEECH = ("啊", "额", "诶", "欸")
"""They mean nothing where more is begun: in front of a pause, of a hesitation, or of one of OPENERS."""
PRONOUNS = frozenset("我 你 您 他 她 它 我们 你们 他们 她们 它们 咱 咱们 大家".split())
POINTING = frozenset("这 那 这个 那个 这些 那些 这种 那种 哪个".split())
JOINING = frozenset(
    "因为 所以 但 但是 可是 而且 然后 就是 就是说 还是 如果 或者 不过 其实 比如 比如说 虽然 并且 于是 由于 关于 对于 应该 已经"
    " 需要 可能 觉得 的话 就 也 都 很 又 因 所 而".split()
)
PREPOSITIONS = frozenset("在 和 跟 给 被 从".split())
"""These three: words that no rule of grammar repeats right behind themselves."""
INSIDE = frozenset("是 有".split())
"""They are begun again inside a clause only: 是是是 is an answer."""
ADVERBS = frozenset("那 还 对 好 吧 啊 呢 嘛 了".split())
OPENERS = PRONOUNS | POINTING | JOINING
FRESH_PAUSE = 0.3
"""Seconds of pause behind which a sentence may begin."""
LONGEST = 4
"""Words that are begun again together at most."""

Tokens = tuple[TranscriptToken, ...]


@dataclass(frozen=True)
class _Word:
    text: str
    first: int
    """Its first token."""
    end: int
    """The one behind its last."""
    fresh: bool
    """Whether a sentence may begin with it: nothing, a mark, a pause or a hesitation is before it."""
    mark: str
    """Behind it."""


def cleaned(segment: Segment) -> Segment:
    """The segment without hesitations and repetitions; the tokens that stay keep their spans, and `raw` has all.

    Raises AsrError without jieba.
    """
    require_words()
    dropped = disfluent(segment.tokens)
    kept: list[TranscriptToken] = []
    for i, token in enumerate(segment.tokens):
        if i not in dropped:
            kept.append(token)
        elif token.mark and kept and not kept[-1].mark:  # a clause that ended with a hesitation still ends
            kept[-1] = replace(kept[-1], mark=token.mark)
    return replace(segment, tokens=tuple(kept))


def require_words() -> None:
    """Raises AsrError where words are not known."""
    if not knows_words():
        raise AsrError(f"a clean style needs jieba, which knows words: {brings('text')}")


def disfluent(tokens: Tokens) -> set[int]:
    """Places of the tokens that a clean text leaves out."""
    words = _words(tokens)
    fillers = [i for i, word in enumerate(words) if _hesitates(words, i, tokens)]
    if len(fillers) == len(words) and any(word.text in "嗯啊" for word in words):
        return set()
    dropped = [words[i] for i in fillers]
    left: list[_Word] = []
    for i, word in enumerate(words):
        if i not in fillers:
            left.append(replace(word, fresh=word.fresh or i - 1 in fillers))
    i = 0
    while i < len(left):
        n = _begun_again(left, i)
        dropped += left[i : i + n]
        if n and i + n < len(left):  # what comes again begins where the first attempt began
            left[i + n] = replace(left[i + n], fresh=left[i].fresh)
        if n:
            del left[i : i + n]
        else:
            i += 1
    return {place for word in dropped for place in range(word.first, word.end)}


def _words(tokens: Tokens) -> list[_Word]:
    found: list[_Word] = []
    for word in in_words(tokens, invent=False):
        first = found[-1].end if found else 0
        before = tokens[first - 1] if first else None
        fresh = before is None or bool(before.mark) or word[0].start - before.end >= FRESH_PAUSE
        text = "".join(token.text for token in word)
        found.append(_Word(text, first, first + len(word), fresh, word[-1].mark))
    return found


def _hesitates(words: Sequence[_Word], i: int, tokens: Tokens) -> bool:
    word = words[i]
    following = words[i + 1] if i + 1 < len(words) else None
    if set(word.text) <= HESITATIONS:
        return following is None or bool(word.mark) or following.text not in ("哼", "哪")
    if word.text not in BEFORE_SPEECH or not word.fresh or following is None or word.mark not in ("", "，"):
        return False
    paused = tokens[following.first].start - tokens[word.end - 1].end >= FRESH_PAUSE
    return paused or following.text in OPENERS or set(following.text) <= HESITATIONS


def _begun_again(words: Sequence[_Word], i: int) -> int:
    """How many words from this one on are said again right behind; 0 if none, or if it may be meant."""
    for n in range(min(LONGEST, (len(words) - i) // 2), 0, -1):
        once, again = words[i : i + n], words[i + n : i + 2 * n]
        if [w.text for w in once] == [w.text for w in again] and _by_mistake(words, i, n):
            return n
    return int(i + 1 < len(words) and not words[i].mark and _broken_off(words[i], words[i + 1], _opens(words, i)))


def _by_mistake(words: Sequence[_Word], i: int, n: int) -> bool:
    first, behind = words[i], words[i + 2 * n - 1]
    if any(word.mark for word in words[i : i + n]) and not (n == 1 and first.text in PRONOUNS and first.mark == "，"):
        return False
    if n > 1:
        whole = first.fresh and (bool(behind.mark) or i + 2 * n == len(words))
        return first.text in OPENERS and not whole
    if first.text in PRONOUNS:
        run = next((k for k, word in enumerate(words[i:]) if word.text != first.text), len(words) - i)
        return run > 2 or _opens(words, i) or bool(first.mark)
    if first.text in INSIDE:
        return not first.fresh and words[i - 1].text in PRONOUNS | POINTING
    return first.text in POINTING | JOINING | PREPOSITIONS


def _opens(words: Sequence[_Word], i: int) -> bool:
    """Whether a clause may begin here: a pronoun elsewhere may end one, and the same one begin the next (给我我就走)."""
    return words[i].fresh or i == 0 or words[i - 1].text in JOINING | ADVERBS


def _broken_off(word: _Word, whole: _Word, opens: bool) -> bool:
    """Whether a word is the beginning of the next, which was said in full then: 因因为, 我我们."""
    if word.text == whole.text or not whole.text.startswith(word.text) or word.text == "那":
        return False
    return (whole.text in PRONOUNS | POINTING and opens) or whole.text in JOINING | {"没有"}
