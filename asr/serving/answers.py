"""A transcript as the answer to a request."""

import math

from asr.outputs.writers import render
from asr.transcript import Segment, Transcript


def answer_of(transcript: Transcript, format: str, words: bool) -> str | dict:
    """A transcript as text or as an object to be written as JSON."""
    if format == "json":
        return {"text": transcript.text}
    if format == "text":
        return transcript.text + "\n"
    if format != "verbose_json":
        return render(transcript, format)
    spoken = [segment for segment in transcript.segments if segment.tokens]
    answer = {
        "task": "transcribe",
        "language": "chinese",
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": [_segment(i, segment) for i, segment in enumerate(spoken)],
        "warnings": transcript.all_warnings,
    }
    if words:
        answer["words"] = [
            {"word": token.text, "start": token.start, "end": token.end} for s in spoken for token in s.tokens
        ]
    return answer


def _segment(i: int, segment: Segment) -> dict:
    mean_log = sum(math.log(max(token.confidence, 1e-10)) for token in segment.tokens) / len(segment.tokens)
    times = {"id": i, "start": segment.start, "end": segment.end, "text": segment.text}
    return times | {"avg_logprob": round(mean_log, 4), "confidence": round(segment.confidence, 4)}
