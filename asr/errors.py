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


class AsrError(Exception):
    """The base of all errors that are the input's fault, not the program's."""


class ConfigError(AsrError):
    pass


class UsageError(ConfigError):
    pass


class AudioError(AsrError):
    pass


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
