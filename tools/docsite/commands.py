"""The page of all commands: each with its words, arguments and options, as the command line itself has them."""

from __future__ import annotations

import typer
from typer.main import get_command

from littoral.cli.main import app


def rows(command: typer.core.TyperCommand, name: str) -> list[tuple[str, str]]:
    """What each argument and option is called, and its help with its default; from the command's own description."""
    context = typer.Context(command, info_name=name)
    found = [(parameter, parameter.get_help_record(context)) for parameter in command.params]
    missing = [parameter.name for parameter, record in found if record is None or not record[1].strip()]
    if missing:
        raise ValueError(f"{name}: no help for {', '.join(map(str, missing))}; every option is documented by its help")
    return [record for _, record in found if record is not None]


def options() -> dict[str, set[str]]:
    """The options of each command, such as `--seed`; of `littoral` itself under the empty name."""
    group = get_command(app)
    named = {name: command.params for name, command in group.commands.items()} | {"": group.params}
    found = {
        name: {option for parameter in parameters for option in parameter.opts if option.startswith("--")}
        for name, parameters in named.items()
    }
    found[""] |= {"--debug"}  # taken out of the arguments by `main`
    return {name: those | {"--help"} for name, those in found.items()}


def page() -> str:
    """The page, as Markdown."""
    group = get_command(app)
    parts = [
        "# Commands\n\nMade from the command line itself when this is built; `littoral COMMAND --help` says the same.",
        _section("littoral", "", rows(group, "littoral"))
        + "\n| `--debug` | Show the traceback of an error; goes anywhere. |",
        "Exit codes: 0 done, 2 input or usage, 1 a fault of ours, 130 interrupted.",
    ]
    for name, command in group.commands.items():
        parts.append(_section(f"littoral {name}", command.help or "", rows(command, f"littoral {name}")))
    return "\n\n".join(parts) + "\n"


def _section(title: str, words: str, found: list[tuple[str, str]]) -> str:
    """A heading, the help, its example as a block, and a table of options."""
    words, _, example = words.partition("Example: ")
    lines = [f"## {title}", words.strip(), f"```text\n{example.strip()}\n```" if example else ""]
    table = "\n".join(["| | |", "|---|---|", *(f"| `{_cell(name)}` | {_cell(text)} |" for name, text in found)])
    return "\n\n".join(line for line in [*lines, table] if line)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;" if "`" in text else "<")
