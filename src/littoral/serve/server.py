"""uvicorn around the API: the socket, patience with slow clients, too many connections, JSON logs, an orderly end."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import time
from asyncio import BaseTransport, TimerHandle, Transport

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from littoral.errors import InputError
from littoral.serve.guard import Guard
from littoral.serve.settings import Limits

HEAD_BYTES = 32_768
"""A request's head may be so long."""

BACKLOG = 1024

KEEP_ALIVE = 30
"""Seconds that a connection may be idle between requests."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; raises InputError where there can be none. Port 0: any that is free."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:  # the last of a name that no host can have
        raise InputError(f"cannot listen on {host}, port {port}: {error}; choose another --host or --port") from error


def run_server(app: Guard, opened: socket.socket, root_path: str, limits: Limits) -> None:
    """Serve until SIGINT or SIGTERM; requests that were accepted by then are answered first.

    Like uvicorn, it raises the signal again when all is done.
    """
    asyncio.run(uvicorn.Server(server_config(app, root_path, limits)).serve(sockets=[opened]))


def server_config(app: Guard, root_path: str, limits: Limits) -> uvicorn.Config:
    """What uvicorn is told."""
    return uvicorn.Config(
        app,
        http=_protocol(limits, app),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=root_path,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(limits.slow + limits.deadline) + 1,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def log_to_stderr() -> None:
    """One JSON object a line: what this server and uvicorn have to say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    quiet = (("uvicorn", logging.WARNING), ("python_multipart", logging.ERROR))  # which warns of every malformed body
    for name, level in (("littoral.serve", logging.INFO), *quiet):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON; what was `told` as its fields. Exceptions are given by their kind alone."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{when}.{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line | record.__dict__.get("told", {}), ensure_ascii=True)


def _protocol(limits: Limits, app: Guard) -> type[H11Protocol]:
    """uvicorn's HTTP protocol, which closes a connection whose next request's head does not arrive in time.

    uvicorn itself is patient without end with a head that was begun, and with the body of a request that was answered
    before it had come: what comes of it is dropped, and has to end in that time too. On a connection too many, a
    request is refused as others are; uvicorn's own limit would refuse those on other connections too, and with another
    form of answer.
    """

    class Patient(H11Protocol):
        _timer: TimerHandle | None = None

        def connection_made(self, transport: BaseTransport) -> None:
            assert isinstance(transport, Transport)
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self.app = app.crowded
            self._timer = self.loop.call_later(limits.slow, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._waits():
                self._forget()
            elif self._timer is None:
                self._timer = self.loop.call_later(limits.slow, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def _forget(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _waits(self) -> bool:
            """For a head, of which some may have arrived, or for the end of what nobody reads."""
            theirs = self.conn.their_state
            return theirs is h11.IDLE or (self.conn.our_state is h11.DONE and theirs is not h11.DONE)

        def _give_up(self) -> None:
            if self._waits():
                self.transport.close()

    return Patient
