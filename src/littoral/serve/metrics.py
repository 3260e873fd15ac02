"""What Prometheus is told: requests and their time, images and how they ended, how full the model's calls are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

PATHS = ("/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics", "/openapi.json", "/")
"""Paths that are counted by name; all others together, since a client can ask for any number of them."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64)

Outcome = Literal["accepted", "not sure", "no threshold", "unreadable"]


class Metrics:
    """The figures of one server; `held` gives the images that have a place in the queue now."""

    def __init__(self, held: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "littoral_requests", "Requests answered, by path and status.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "littoral_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "littoral_batch_images", "Images in one call of the model.", buckets=IMAGES, registry=self._registry
        )
        self._images = Counter("littoral_images", "Images, by how they ended.", ["outcome"], registry=self._registry)
        self._agree = Counter(
            "littoral_opinions",
            "Images on which the shallow and the deep side agree, or not.",
            ["agree"],
            registry=self._registry,
        )
        self._exits = Counter(
            "littoral_exits",
            "Images of a split model, by whether its first file alone answered.",
            ["exited"],
            registry=self._registry,
        )
        self._swaps = Counter(
            "littoral_model_changes", "Changed model files, taken or refused.", ["outcome"], registry=self._registry
        )
        Gauge("littoral_images_held", "Images in the server now.", registry=self._registry).set_function(held)
        self._model = Gauge("littoral_model", "1 for the model that answers.", ["version"], registry=self._registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        name = path if path in PATHS else "other"
        self._requests.labels(name, str(status)).inc()
        self._seconds.labels(name).observe(seconds)

    def batch(self, images: int) -> None:
        """The model is called."""
        self._batch.observe(images)

    def image(self, outcome: Outcome) -> None:
        """An image was answered."""
        self._images.labels(outcome).inc()

    def opinions(self, agree: bool) -> None:
        """Both sides of the model spoke."""
        self._agree.labels("yes" if agree else "no").inc()

    def exit(self, exited: bool) -> None:
        """A split model answered."""
        self._exits.labels("yes" if exited else "no").inc()

    def model(self, version: str) -> None:
        """This model answers from now on."""
        self._model.clear()
        self._model.labels(version).set(1)

    def change(self, taken: bool) -> None:
        """The model's file changed."""
        self._swaps.labels("taken" if taken else "refused").inc()

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        return generate_latest(self._registry)
