"""`littoral`: the commands, and how each way to end becomes an exit code and at most one line.

0 done · 2 input or usage · 1 a fault of ours · 130 interrupted. `--debug` shows the traceback of any error.
"""

from __future__ import annotations

import io
import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from littoral.cli import (
    audit,
    cache,
    compare,
    curve,
    doctor,
    evaluate,
    export,
    features,
    fit,
    pack,
    predict,
    presets,
    profile,
    report,
    serve,
    tune,
)
from littoral.cli.interrupt import Interrupted, interruptible
from littoral.cli.output import say
from littoral.errors import LittoralError
from littoral.memory import keep_freed_memory
from littoral.version import __version__

HELP = """Classify images by fusing shallow and deep features.

Each command has a --help with an example. --debug, anywhere, shows the traceback of an error."""

FIRST_STEPS = """
First steps:
  littoral doctor                                      is everything there?
  littoral compare mnist --preset swift --seeds 1      what fusing brings; a minute or two
  littoral audit photos/                               what is wrong with your own images
  littoral --install-completion                        Tab completes commands and options"""

app = typer.Typer(
    name="littoral",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("fit")(fit.fit)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("features")(features.features)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("profile")(profile.profile)
app.command("compare")(compare.compare)
app.command("curve")(curve.curve)
app.command("tune")(tune.tune)
app.command("report")(report.report)
app.command("presets")(presets.presets)
app.command("audit")(audit.audit)
app.command("pack")(pack.pack)
app.command("cache")(cache.cache)
app.command("doctor")(doctor.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"littoral {__version__}")
        raise typer.Exit


@app.callback(help=HELP, invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """What `littoral` does without a command: show its help."""
    if context.invoked_subcommand is None:
        print(f"{context.get_help().rstrip()}\n{FIRST_STEPS}")


def main() -> None:
    """Run the command line and exit with its code."""
    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show × gets \\xd7, not an error
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(run(arguments, debug="--debug" in sys.argv[1:]))


def run(arguments: list[str], debug: bool = False) -> int:
    """Run one command; return its exit code."""
    try:
        with interruptible():
            outcome = app(arguments, prog_name="littoral", standalone_mode=False, obj=tuple(arguments))
        return outcome if isinstance(outcome, int) else 0
    except Interrupted as stop:
        say(f"littoral: {stop}")
        return 130
    except Exception as error:
        code, line = _explain(error)
        if debug:
            traceback.print_exception(error)
        say(f"littoral: {line}")
        return code


def _explain(error: Exception) -> tuple[int, str]:
    """Exit code and one line for an error."""
    match error:
        case TyperException():
            asked = getattr(getattr(error, "ctx", None), "command_path", "littoral")
            return 2, f"{' '.join(error.format_message().split()).rstrip('.')}; see `{asked} --help`"
        case LittoralError():
            return error.exit_code, str(error)
        case OSError():
            return 2, f"{error.filename or 'output'}: {error.strerror or error}"
        case MemoryError():
            return 2, "not enough memory for these images: give a smaller --size, or fewer images"
        case ModuleNotFoundError() if error.name and not error.name.startswith("littoral"):
            return 2, f"this needs the package {error.name}, which is not installed; install littoral again"
        case _:
            fault = " ".join(f"{type(error).__name__}: {error}".split())
            return 1, f"a fault of ours: {fault}; run again with --debug to see where"
