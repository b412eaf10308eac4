"""What codecs put before the first sample that was recorded, where the container says nothing of it: the delay of filters
and overlaps, of the encoder and the decoder together. At the low rates of telephones it is a tenth of a second and more.

Measured against the source of what FFmpeg 5.1 encodes. That of Layer II, AC-3 and AAC lies in the codec, whatever the encoder
is, if it begins with the first sample; that of MP3 is LAME's, which others are near, that of DTS FFmpeg's own, that of Opus
libopus's and that of Speex libspeex's.
"""

from typing import Any

FIRST_FRAME = frozenset(("aac", "aac_latm"))
"""Decoders whose first frame is the first half of an overlap, which no encoder puts sound into."""
MPEG_LAYERS = {"mp1", "mp2", "mp3"}
"""Decoders that take each other's layers: only the frames tell which it is."""
LAYERS = {3: 481, 2: 481, 1: 1105}
"""Bits of an MPEG frame that say its layer, I, II or III → samples."""
OF_SUBTYPES = {"MPEG_LAYER_I": LAYERS[3], "MPEG_LAYER_II": LAYERS[2], "MPEG_LAYER_III": LAYERS[1]}
"""The same by libsndfile's names."""
SAMPLES = {"ac3": 256, "eac3": 256, "dca": 512, "g723_1": 60}
"""Decoder, under FFmpeg's name → samples at the rate of the codec."""
OPUS = 312
"""Samples of Opus, at 48 kHz as all of them."""
SPEEX = {8000: 80, 16000: 223, 32000: 509}
"""Rate → samples of Speex: each doubling of the rate has filters of its own."""


def samples_ahead(context: Any, frame: int, packet: bytes) -> int:
    """Samples before the first that was recorded, of a decoder whose first frame has so many.

    context: of PyAV; packet: the bytes of that frame. 0 where the decoder leaves them out itself.
    """
    name = context.name.removesuffix("float")
    if name in FIRST_FRAME:
        return frame
    if name in MPEG_LAYERS:
        return LAYERS.get(packet[1] >> 1 & 3, 0) if packet[:1] == b"\xff" and len(packet) > 1 else 0
    if name in ("opus", "libopus"):  # which know their own where the head of the stream says it
        return 0 if any((context.extradata or b"")[10:12]) else OPUS
    return SPEEX.get(context.sample_rate, 0) if name in ("speex", "libspeex") else SAMPLES.get(name, 0)
