"""`littoral serve`: a model as an HTTP API and a page."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from littoral.cli.interrupt import Interrupted
from littoral.cli.output import say
from littoral.machine import cores
from littoral.memory import give_back_freed_memory

KEY_VARIABLE = "LITTORAL_API_KEY"
"""Where the key is, unless a file has it: an option would show it to everybody who lists processes."""

HERE_ONLY = ("127.0.0.1", "::1", "localhost")


def serve(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A folder that `littoral export` wrote, or a model file (.safetensors), which is exported first.",
            show_default=False,
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the key that clients have to send as `Authorization: Bearer KEY`.",
            show_default=f"{KEY_VARIABLE}, else no key",
        ),
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="Where a proxy has put the server, such as /digits.", show_default="at its root")
    ] = "",
    queue: Annotated[int, typer.Option(help="Images that may be in the server at a time; more get a 429.")] = 256,
    deadline: Annotated[float, typer.Option(help="Seconds within which a request is answered, else a 504.")] = 10.0,
    split: Annotated[
        bool,
        typer.Option(
            "--split", help="Run shallow.onnx and deep.onnx of the folder: clear images need the first alone."
        ),
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads for the model.", show_default="all cores but one")
    ] = None,
) -> int:
    """Serve a model: POST /v1/predict, and a page at / to drop images on or draw.

    Ends at Ctrl-C or SIGTERM, when all that was accepted is answered. A changed file is taken while it runs.

    Example: littoral serve exported --port 8000
    """
    from littoral.errors import InputError

    try:
        from littoral.serve.api import Service, create_app
        from littoral.serve.server import listen, log_to_stderr, run_server
    except ModuleNotFoundError as error:
        raise InputError(f"serving needs {error.name}: pip install 'littoral[serve]'") from error
    from littoral.deploy.exported import is_model_file
    from littoral.serve.settings import Limits

    give_back_freed_memory()
    limits = Limits(waiting=queue, deadline=deadline)
    key = _key(api_key_file)
    if root_path and (not root_path.startswith("/") or root_path.endswith("/")):
        raise InputError(f"--root-path begins with / and does not end with one, such as /digits, got {root_path}")
    opened = listen(host, port)
    with opened:
        if is_model_file(model) and not split:  # a model file has no split, which is said at once
            say("exporting the model first: a minute or so, several for large models")
        service = Service(model, limits, threads or max(1, cores() - 1), split)
        if key is None and host not in HERE_ONLY:
            say(f"anybody who can reach {host} can use this server: set {KEY_VARIABLE} or give --api-key-file")
        shown = f"[{host}]" if ":" in host else host
        say(f"model {service.current.served.version} at http://{shown}:{opened.getsockname()[1]}{root_path}/")
        log_to_stderr()
        with contextlib.suppress(Interrupted):  # uvicorn raises the signal again when it has ended in good order
            run_server(create_app(service, key, root_path), opened, root_path, limits)
    return 0


def _key(file: Path | None) -> str | None:
    """The key of a file, else of the environment; None where there is none."""
    from littoral.errors import InputError

    key = os.environ.get(KEY_VARIABLE) if file is None else file.read_text(errors="replace").strip()
    if key is not None and not (key.isascii() and key.isprintable() and len(key) >= 8 and " " not in key):
        raise InputError("a key is 8 or more ASCII characters without spaces: `openssl rand -hex 16` makes a good one")
    return key
