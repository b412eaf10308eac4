"""Why a file is no recording, in words, by how its bytes begin."""

import os
import re
from itertools import islice
from pathlib import Path

from asr.audio.headers import MOST_BOXES, top_boxes
from asr.foreign_bytes import NOT_FETCHED, POINTER

HEAD = 4096
PLAYLIST = "is a playlist that points elsewhere, not a recording: give the recordings that it names"
WEB_PAGE = "is a web page, not audio: the address leads to a page about the recording, or asks to log in"
SILK = "is a WeChat or QQ voice message (SILK), which nothing here decodes: convert it first, with silk-v3-decoder for instance"
BASE64 = "holds base64 text, not the audio itself: decode it first (base64 -d)"
UNFINISHED = (
    "was never finished: what is written last, the index (moov) of where its sound lies, is missing;"
    " untrunc mends it with a whole recording of the same device"
)
BEGINNINGS = [
    (rb"\x02?#!SILK", SILK),
    (
        rb"(\xef\xbb\xbf)?\s*(#EXT|ffconcat version|\[playlist\]|\[Reference\]|NumberOfEntries=|v=0\r?\n|rtsp://|https?://)",
        PLAYLIST,
    ),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(MPD|asx|smil|playlist|SmoothStreamingMedia)\b",
        PLAYLIST,
    ),
    (rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body)\b", WEB_PAGE),
    (rb"data:[\w/;.+-]*;base64,", BASE64),
    (rb"PK\x03\x04", "is a zip archive: unpack it first"),
    (rb"\x1f\x8b", "is packed with gzip: unpack it first"),
    (rb"(7z\xbc\xaf\x27\x1c|Rar!|\xfd7zXZ)", "is an archive: unpack it first"),
    (re.escape(POINTER), NOT_FETCHED),
    (rb"%PDF-", "is a PDF document, not audio"),
    (rb"\s*\{\s*\"", "is JSON, not audio: a service answered with a message, or it describes recordings"),
]
"""How a file begins → what it is."""


def cause_of(path: Path) -> str:
    """What a file is that is no recording; "" where its beginning does not tell."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
        for beginning, cause in BEGINNINGS:
            if re.match(beginning, head, re.DOTALL):
                return cause
        if _is_base64(head):
            return BASE64
        if head[4:8] == b"ftyp":
            boxes = islice(top_boxes(file, os.path.getsize(path)), MOST_BOXES)
            return "" if b"moov" in boxes else UNFINISHED
    return ""


def _is_base64(head: bytes) -> bool:
    lines = head.strip().split()
    return len(head) > 100 and bool(re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", b"".join(lines))) and len(lines[0]) >= 60
