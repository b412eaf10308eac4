"""What the rules of `decode.rule` are called, for those who search nothing; asr.decoding.rules has them."""

UNWRITTEN = {"own": 0, "wenet": 0, "espnet": 0, "speechbrain": 1, "transformers": 0}
"""Name → tokens of what stops at the length limit that are not written."""
