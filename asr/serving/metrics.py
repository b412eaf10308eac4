"""What Prometheus is told: how many ask for what, how long it takes, how much audio and work that is, and who waits."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from asr.serving.service import Service

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Bounds of the histogram of requests."""
OTHER = "other"
"""A file of the page, or a path that there is not: whoever makes some up adds no series."""
LEFT = 499
"""The status of what was not answered, as the client had gone."""


class _State(Collector):
    """What the service counts itself, read when it is asked for."""

    def __init__(self, service: Service):
        self.service = service

    def collect(self) -> Iterator[Metric]:
        service = self.service
        yield CounterMetricFamily("asr_audio_seconds", "Seconds of audio that were transcribed.", service.audio)
        yield CounterMetricFamily("asr_work_seconds", "Seconds of work on it.", service.scheduler.worked)
        yield GaugeMetricFamily(
            "asr_clients", "Recordings that are sent, wait or are worked on.", service.clients.taken
        )
        yield GaugeMetricFamily("asr_live", "Live sessions.", service.live.taken)
        yield GaugeMetricFamily("asr_waiting", "Recordings that wait or are worked on.", service.waiting.taken)


class Metrics:
    """Counts of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, paths: Collection[str], service: Service):
        self.paths, self.registry = frozenset(paths), CollectorRegistry()
        here = {"registry": self.registry}
        self.requests = Counter("asr_requests", "Requests that were answered.", ["path", "status"], **here)
        self.seconds = Histogram(
            "asr_request_seconds", "Seconds up to the end of an answer.", ["path"], buckets=SECONDS, **here
        )
        self.registry.register(_State(service))

    @contextmanager
    def answering(self, path: str, status: Sequence[int]) -> Iterator[None]:
        """Counts a request when its answer has ended; `status` holds what was sent by then, or nothing."""
        path, began = path if path in self.paths else OTHER, time.monotonic()
        try:
            yield
        finally:
            self.requests.labels(path, str(status[0] if status else LEFT)).inc()
            self.seconds.labels(path).observe(time.monotonic() - began)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
