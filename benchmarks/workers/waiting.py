"""What every worker does with its search: run it for each line on stdin."""

import statistics
import sys
import time
from collections.abc import Callable

WIDTH, HEADS, LAYERS, FEED_FORWARD, VOCABULARY = 256, 4, 6, 2048, 4232
FRAMES, STEPS = 125, 20


def serve(search: Callable[[], object], warm: int = 1, counted: int = 3) -> None:
    """Answers each line with `seconds …`, the median of some searches after some that warm up what waiting let go cold."""
    for _ in sys.stdin:
        times = []
        for _ in range(warm + counted):
            started = time.perf_counter()
            search()
            times.append(time.perf_counter() - started)
        print(f"seconds {statistics.median(times[warm:]):.6f}", flush=True)
