"""The toolkits whose models can be imported. `read_NAME` in the module of that name does it."""

TOOLKITS = {
    "wenet": "WeNet",
    "espnet": "ESPnet2",
    "firered": "FireRedASR",
    "speechbrain": "SpeechBrain",
    "whisper": "Whisper",
    "dolphin": "Dolphin",
    "cohere": "Cohere Transcribe",
}
"""Name on the command line → what the toolkit calls itself."""
OF_ONE_FILE = ("whisper",)
"""Those of whose models a file may be given."""


def toolkits_in_words() -> str:
    """All names, for people."""
    *names, last = TOOLKITS
    return f"{', '.join(names)} or {last}"
