"""Every error a user can cause. The message says what failed, where, and what to do.

AsrError
├── ConfigError      a setting that does not exist or cannot be
│   └── UsageError   the same, said on the command line, or a device that is not there
├── AudioError       a file that is not there, cannot be read, or holds no usable samples
├── ManifestError    a list of utterances or transcripts that breaks a rule
├── TokenError       a token table that is damaged or does not fit
├── CheckpointError  a model folder or training state that cannot be read, written or used
├── DownloadError    a published model that cannot be fetched, or is not what it should be
└── Cancelled        work that was given up because whoever asked for it said so
"""

from asr.printable import printable

LONGEST = 1000
"""Characters of a line of a message; one that quotes more loses its middle."""
MOST_LINES = 40
"""Lines of a message."""


class AsrError(Exception):
    """The base of all errors that are the input's fault, not the program's.

    Its message can be shown as it is: control characters that names and values may hold, a terminal's among them, are written
    as escapes, and it is not long.
    """

    def __init__(self, message: object = ""):
        super().__init__(printable("\n".join(map(_shortened, str(message).split("\n", MOST_LINES)[:MOST_LINES]))))


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST * 2 // 3]} … {line[3 - LONGEST // 3 :]}"


class ConfigError(AsrError):
    pass


class UsageError(ConfigError):
    pass


class AudioError(AsrError):
    pass


class ShardError(AudioError):
    """A shard cannot be read, or is another than its manifest was written with: that is no fault of a single recording."""


class ManifestError(AsrError):
    pass


class TokenError(AsrError):
    pass


class CheckpointError(AsrError):
    pass


class DownloadError(AsrError):
    pass


class Cancelled(AsrError):
    pass
