"""Count lines of code: physical lines without docstrings, comments and blank lines.

    python -m tests.support.code_lines                       the parts of the package that have a bound
    python -m tests.support.code_lines smsc_async/fetch      these files and folders, one line each

Only Python counts: the package's Lua, JavaScript and CSS do not.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "smsc_async"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"

# The core is the package without these modules and folders.
NOT_CORE = frozenset({"cli", "report", "simulator", "testing", "history", "analysis", "sync"})

_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> int:
    """Return the number of code lines of Python source.

    A string that is a statement of its own counts as a docstring, for example below an attribute. A statement of several
    lines counts each line that is not blank, so a bound is not met by joining lines that the formatter splits.
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case _:
                pass
    texts = source.splitlines()
    return sum(bool(texts[line - 1].strip()) for line in lines)


def modules(paths: Iterable[Path] = (PACKAGE,)) -> list[Path]:
    """Return the Python files among the paths and in the folders among them."""
    return [file for path in paths for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


def core() -> list[Path]:
    """Return the files of the core."""
    return [file for file in modules() if file.relative_to(PACKAGE).with_suffix("").parts[0] not in NOT_CORE]


def reading_path(page: str | None = None) -> list[Path]:
    """Return the files that ``ARCHITECTURE.md`` lists in its block ``reading-path``: what explains a call to a newcomer.

    Args:
        page: The text to read in place of ``ARCHITECTURE.md``.

    Raises:
        ValueError: The page has no such block, or more than one; or the block lists a file twice or a file that does not exist.
    """
    if page is None:
        page = ARCHITECTURE.read_text("utf-8")
    blocks = re.findall(r"^```reading-path$\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    if len(blocks) != 1:
        message = f"one block ```reading-path is needed, {len(blocks)} are present"
        raise ValueError(message)
    names = blocks[0].split()
    files = [ROOT / name for name in names]
    wrong = [name for name, file in zip(names, files, strict=True) if not file.is_file() or names.count(name) > 1]
    if wrong or not names:
        message = f"the block ```reading-path must list files that exist, each once: {wrong or 'the block is empty'}"
        raise ValueError(message)
    return files


def count(files: Iterable[Path]) -> int:
    """Return the number of code lines of all files together."""
    return sum(map(_count, files))


@cache  # for the rows that share files
def _count(file: Path) -> int:
    return code_lines(file.read_text("utf-8"))


def main(arguments: list[str]) -> None:
    """Print the code lines of the named files and folders, or of the parts of the package."""
    if arguments:
        files = modules(Path(argument) for argument in arguments)
        rows = [(str(file), count([file])) for file in files]
        rows.append((f"{len(files)} files", count(files)))
    else:
        rows = [("core", count(core())), ("package", count(modules()))]
        if ARCHITECTURE.exists():
            rows.insert(0, ("reading path", count(reading_path())))
    sys.stdout.writelines(f"{number:6,}  {name}\n" for name, number in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
