"""A Ray cluster for as long as a block lasts: one that is started here, or one that runs already and has an address.

What is done there is left to others. Ray is the extra [ray], imported when somebody asks for a cluster and not before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
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

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HEADERS, _SETTINGS, _PING, _WINDOW = 1, 4, 6, 8
_OK = 0x88
"""How headers begin that say status 200 (RFC 7541, appendix A): gRPC says it whatever it is asked, others say 404."""

_FRAMES, _LONGEST = 8, 2**14
"""Frames within which the answer has to be, and bytes of one."""


def require_cluster(address: str) -> None:
    """Raise InputError, within seconds, unless Ray is installed and the head of a cluster answers at `address`.

    `address`: HOST or HOST:PORT, or `local`, which needs no answer. Ray itself would wait for over a minute, and then
    end the process.
    """
    if find_spec("ray") is None:
        raise InputError("--ray needs Ray, which is not installed; pip install 'littoral[ray]'")
    if address == LOCAL:
        return
    match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", address)
    if match is None:
        raise InputError(f"--ray expects local, or HOST:PORT of the head of a cluster, got {address!r}")
    if not _answers(match[1].strip("[]"), int(match[2] or PORT)):
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
    import ray._private.worker as internals

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
            raise InputError(
                f"cannot join the Ray cluster at {address} ({reason[:200]}): "
                f"this machine has to be a part of it, by `ray start --address={where}`"
            ) from error
    internals._worker_logs_enabled = False  # else what was lost is told on standard output, where results go
    try:
        yield
    finally:
        ray.shutdown()


def _with_port(address: str) -> str:
    return address if re.search(r"[^:\]]:\d+$|\]:\d+$", address) else f"{address}:{PORT}"


def _answers(host: str, port: int) -> bool:
    """Whether a server there speaks gRPC, as Ray's do: any other, and a proxy before nothing, Ray would ask for long.

    It is asked for a method that there is not, by HTTP/2 (RFC 9113).
    """
    try:
        with socket.create_connection((host, port), PATIENCE) as link, link.makefile("rb") as answer:
            link.settimeout(PATIENCE)
            link.sendall(_PREFACE + _request())
            for _ in range(_FRAMES):
                length, kind = int.from_bytes(answer.read(3), "big"), answer.read(1)
                content = answer.read(5 + min(length, _LONGEST))[5:]
                if kind == bytes([_HEADERS]):
                    return content[:1] == bytes([_OK])
                if length > _LONGEST or kind not in (bytes([_SETTINGS]), bytes([_PING]), bytes([_WINDOW])):
                    return False
    except (OSError, OverflowError, UnicodeError):
        pass
    return False


def _request() -> bytes:
    """A frame with the headers of a call, each written out, that ends the stream."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/littoral",
        ":authority": "ray",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    block = b"".join(
        b"\0%c%s%c%s" % (len(name), name.encode(), len(value), value.encode()) for name, value in headers.items()
    )
    return len(block).to_bytes(3, "big") + bytes([_HEADERS, 0x5, 0, 0, 0, 1]) + block


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
