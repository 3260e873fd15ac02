"""A Ray cluster for as long as a block lasts: one that is started here, or one that runs already and has an address.

What is done there is left to others. Ray is the extra [ray], imported when somebody asks for a cluster and not before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from littoral.errors import InputError

LOCAL = "local"
"""The address of a cluster of this machine alone, which is started for the occasion and ends with it."""

PORT = 6379
"""Where the head of a cluster listens unless it was told otherwise."""

PATIENCE = 3.0
"""Seconds in which the head of a cluster has to answer."""

_SERVING = b"\x08\x01"
"""The answer of a server that is well, in gRPC's own protocol of health checks, which the head of a cluster speaks."""


def require_cluster(address: str) -> None:
    """Raise InputError, within seconds, unless Ray is installed and the head of a cluster answers at `address`.

    `address`: HOST or HOST:PORT, or `local`, which needs no answer. Ray itself would wait for over a minute, and then
    end the process.
    """
    if find_spec("ray") is None or find_spec("grpc") is None:
        raise InputError("--ray needs Ray, which is not installed; pip install 'littoral[ray]'")
    if address == LOCAL:
        return
    match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", address)
    if match is None:
        raise InputError(f"--ray expects local, or HOST:PORT of the head of a cluster, got {address!r}")
    if not _answers(_with_port(address)):
        raise InputError(
            f"no Ray cluster answers at {address}: start one there with `ray start --head`, or use --ray local"
        )


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Within the block Ray's functions go to the cluster at `address`, which must be as in `require_cluster`.

    At the end what still runs there for this process is stopped, and with it a cluster that was started here. A program
    that is connected already stays so.

    Raises InputError where there is none, or where this machine does not belong to it.
    """
    require_cluster(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of several that fail alike, one is told
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # a lost process would be told of on standard output
    import ray

    if ray.is_initialized():
        yield
        return
    where = LOCAL if address == LOCAL else _with_port(address)
    with _own_signals():
        try:
            ray.init(
                address=where,
                include_dashboard=False if address == LOCAL else None,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            if address == LOCAL:
                raise InputError(f"Ray cannot start on this machine ({reason[:200]}); leave --ray out") from error
            raise InputError(
                f"cannot join the Ray cluster at {address} ({reason[:200]}): "
                f"this machine has to be a part of it, by `ray start --address={where}`"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _with_port(address: str) -> str:
    return address if re.search(r"[^:\]]:\d+$|\]:\d+$", address) else f"{address}:{PORT}"


def _answers(place: str) -> bool:
    """Whether a server at `place`, HOST:PORT, says that it is well, as the head of a cluster does.

    Ray would ask any other for long, and a proxy before nothing too.
    """
    import grpc

    with grpc.insecure_channel(place, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            return bool(channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=PATIENCE) == _SERVING)
        except grpc.RpcError:
            return False


@contextmanager
def _own_signals() -> Iterator[None]:
    """What SIGTERM does stays as it was: Ray would end the process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            with contextlib.suppress(TypeError):  # a handler that was not set by Python
                signal.signal(signal.SIGTERM, before)
