"""How much a server takes on, in one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from littoral.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What is refused before it can do harm.

    `request_bytes`, `images`: of one request. `pixels`: of one image, before it is unpacked. `waiting`: images in the
    whole server, from when a request was read until it is answered; `held_bytes`: of all requests being read or
    answered. `connections`: open at a time, idle ones too, fewer than the files that a process may have open (1024 as a
    rule). `at_once`: images in one call of the model. `deadline`: seconds until a request that was read has to be
    answered; `slow`: seconds for sending a request's head, and again for its body.
    """

    request_bytes: int = 32_000_000
    images: int = 64
    pixels: int = 25_000_000
    waiting: int = 256
    held_bytes: int = 256_000_000
    connections: int = 512
    at_once: int = 32
    deadline: float = 10.0
    slow: float = 20.0

    def __post_init__(self) -> None:
        if self.waiting < self.images:
            raise InputError(
                f"at least {self.images} images have to find room, as many as one request may have, got {self.waiting}"
            )
        if not 0 < self.deadline < inf:
            raise InputError(f"the deadline is a finite number of seconds above 0, got {self.deadline}")
