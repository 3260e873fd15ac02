"""`littoral`: the commands, and how each way to end becomes an exit code and at most one line.

0 done · 2 input or usage · 1 a fault of ours · 130 interrupted. `--debug` shows the traceback of any error.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from littoral.cli import compare, evaluate, fit, predict, presets
from littoral.cli.output import say
from littoral.errors import LittoralError
from littoral.version import __version__

app = typer.Typer(
    name="littoral",
    help="Classify images by fusing shallow and deep features. Each command has a --help with an example.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("fit")(fit.fit)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("compare")(compare.compare)
app.command("presets")(presets.presets)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"littoral {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Classify images by fusing shallow and deep features. Each command has a --help with an example."""


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(run(arguments, debug="--debug" in sys.argv[1:]))


def run(arguments: list[str], debug: bool = False) -> int:
    """Run one command; return its exit code."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        outcome = app(arguments, prog_name="littoral", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except (KeyboardInterrupt, typer.Abort) as stop:
        cause = stop if isinstance(stop, KeyboardInterrupt) else stop.__cause__
        say(f"littoral: {cause or 'interrupted'}")
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0
    except TyperException as error:
        say(f"littoral: {_usage_sentence(error)}")
        return 2
    except LittoralError as error:
        if debug:
            raise
        say(f"littoral: {error}")
        return error.exit_code
    except ModuleNotFoundError as error:
        if debug or (error.name or "").startswith("littoral"):
            raise
        say(f"littoral: this needs the package {error.name}, which is not installed; pip install {error.name}")
        return 2
    except Exception as error:
        if debug:
            raise
        say(f"littoral: a fault of ours: {type(error).__name__}: {error}; run again with --debug to see where")
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _usage_sentence(error: TyperException) -> str:
    message = " ".join(error.format_message().split()) if hasattr(error, "format_message") else str(error)
    return f"{message.rstrip('.')}; see `littoral --help`"
