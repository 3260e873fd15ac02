"""The page of all errors: the kinds, and each sentence that the code can say, found in the source."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from littoral import errors

SOURCE = Path(errors.__file__).parent


def kinds() -> dict[str, type[errors.LittoralError]]:
    """The kinds of errors, by name."""
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.LittoralError)
    }


def sentences() -> list[tuple[str, str, str]]:
    """(file, kind, sentence) of each `raise KIND(...)` in the source; what is filled in stands in ‹›."""
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                kind = ast.unparse(node.exc.func)
                if kind in kinds():
                    found.append((str(file.relative_to(SOURCE)), kind, " ".join(_words(node.exc.args[0]).split())))
    return found


def page() -> str:
    """The page, as Markdown."""
    parts = [
        "# Errors\n\nEach error that littoral raises on purpose is one sentence: what was expected, what came, what to "
        "do. Everything else is a fault of ours: exit code 1, and `--debug` shows where. This list is made from the "
        "source when the site is built; ‹…› is what the sentence is filled with.",
        "\n".join(
            ["| kind | exit code | |", "|---|---|---|"]
            + [f"| `{name}` | {kind.exit_code} | {inspect.getdoc(kind)} |" for name, kind in kinds().items()]
        ),
    ]
    by_file: dict[str, list[tuple[str, str]]] = {}
    for file, kind, sentence in sentences():
        by_file.setdefault(file, []).append((kind, sentence))
    for file, said in by_file.items():
        lines = [f"| {_cell(sentence)} | `{kind}` |" for kind, sentence in said]
        parts.append("\n".join([f"## {file}\n", "| sentence | kind |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def _words(node: ast.expr) -> str:
    """The text that an expression makes, what is not known before the time in ‹›."""
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(_words(part) for part in node.values)
        case ast.FormattedValue():
            return f"‹{ast.unparse(node.value)}›"
        case ast.BinOp(op=ast.Add()):
            return _words(node.left) + _words(node.right)
        case _:
            return f"‹{ast.unparse(node)}›"


def _cell(text: str) -> str:
    for character in "\\`*_[]<>|{}":
        text = text.replace(character, f"&#{ord(character)};")
    return text
