"""The layers of the package, read from its source: each module imports only from its own row and the rows below."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import smsc_async

PACKAGE = Path(smsc_async.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From top to bottom: a module imports from its own row and the rows below it. The longest matching name counts. A module without
# a row fails. A row may name a module that does not exist yet.
LAYERS = [
    ["__main__"],
    ["cli"],
    ["testing"],
    ["simulator"],
    ["sync"],
    ["client"],
    ["history.watch_many"],
    ["history.watch"],
    ["history"],
    ["fetch.bulk"],
    ["fetch.call"],
    ["fetch.attempts", "fetch.background"],
    ["fetch.interpret", "http.send", "fetch"],
    ["fetch.lockout", "http"],
    ["stores"],
    ["stores.single_flight"],
    ["telemetry"],
    ["http.redaction", "http.threads", "http.log_filter"],
    ["arguments", "limiter", "decoder", "fetch.lockout", "fetch.circuit"],
    ["accounts"],
    ["environment"],
    ["report"],
    ["protocol", "analysis"],
    ["records"],
    ["pydantic_hook"],
    ["errors"],
    ["display"],
]
PURE = [
    "arguments",
    "display",
    "pydantic_hook",
    "protocol",
    "decoder",
    "records",
    "errors",
    "limiter.bucket",
    "analysis",
    "history.packing",
    "report",
    "fetch.circuit",
    "fetch.lockout",
    "stores.redis.topology",
    "http.redaction",
]
IMPURE_IMPORTS = {"httpx", "httpcore", "anyio", "asyncio", "time", "random", "logging", "socket", "os", "threading"}
# `cli/webhook.py` posts to hosts other than the provider, so it does not need the limiter.
IMPORTERS_OF_HTTPX = ["http", "cli.webhook"]
EXTRAS = {
    "cli": {"apprise", "keyring", "matplotlib", "platformdirs", "rich", "typer"},
    "simulator": {"h11"},
    "stores": {"redis"},
    "testing": {"pytest"},
}


def imports(module: str, source: str, *, is_package: bool) -> Iterator[str]:
    """Every name that the source imports, as an absolute name, in functions and under TYPE_CHECKING as well."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package] if node.level else []
                origin = ".".join([*above, *([node.module] if node.module else [])])
                yield from (f"{origin}.{alias.name}" for alias in node.names)
            case _:
                pass


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    return set(imports(module, path.read_text("utf-8"), is_package=path.name == "__init__.py"))


def is_in(name: str, part: str) -> bool:
    return f"{name}.".startswith(f"smsc_async.{part}.")


def layer_of(name: str) -> int | None:
    fits = [(len(part), row) for row, parts in enumerate(LAYERS) for part in parts if is_in(name, part)]
    return max(fits)[1] if fits else None


def is_pure(module: str) -> bool:
    return any(is_in(module, part) for part in PURE)


def breaches(module: str, imported: set[str]) -> list[str]:
    """The imports of a module that break a rule of this file."""
    found: list[str] = []
    own = layer_of(module)
    for name in sorted(imported):
        top = name.partition(".")[0]
        if top in {"httpx", "httpcore"} and not any(is_in(module, part) for part in IMPORTERS_OF_HTTPX):
            found.append(f"{module} imports {name}: only {' and '.join(IMPORTERS_OF_HTTPX)} may")
        elif top in IMPURE_IMPORTS and is_pure(module):
            found.append(f"{module} imports {name}, and is pure")
        for part, packages in EXTRAS.items():
            if top in packages and not (is_in(module, part) or is_in(module, "cli")):
                found.append(f"{module} imports {name} of the extra {part}")
        if top == "smsc_async" and own is not None:
            other = layer_of(name)
            if other is None:
                found.append(
                    f"{module} imports {name} by way of the package, which imports everything: name the module"
                )
            elif other < own:
                found.append(f"{module} imports {name}, which is in a row above")
    return found


# The package re-exports names from every row but these.
NOT_RE_EXPORTED = ["__main__", "cli", "simulator", "testing"]


def test_a_module_imports_only_what_its_place_allows() -> None:
    assert [breach for module in MODULES for breach in breaches(module, imports_of(module))] == []


def test_every_module_has_a_place() -> None:
    assert [module for module in MODULES if module != "smsc_async" and layer_of(module) is None] == []


def test_the_package_does_not_import_what_needs_an_extra() -> None:
    assert [name for name in imports_of("smsc_async") if any(is_in(name, part) for part in NOT_RE_EXPORTED)] == []


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("smsc_async.client", "import httpx", "only http and"),
        ("smsc_async.stores.redis", "def f():\n    from httpx import URL", "only http and"),
        (
            "smsc_async.client",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx._urls",
            "only http",
        ),
        ("smsc_async.decoder.json", "import time", "is pure"),
        ("smsc_async.decoder", "from os.path import join", "is pure"),
        ("smsc_async.limiter.bucket", "import anyio.lowlevel", "is pure"),
        ("smsc_async.records", "from smsc_async.decoder import decode", "in a row above"),
        ("smsc_async.records", "from .decoder import decode", "in a row above"),
        ("smsc_async.decoder", "from .json import read\nfrom ..records import Zone", None),
        ("smsc_async.limiter.queue", "from ..stores import memory", "in a row above"),
        ("smsc_async.limiter", "from .. import client", "in a row above"),
        ("smsc_async.client", "from smsc_async import records", None),
        ("smsc_async.client", "from smsc_async import Tariffs", "name the module"),
        ("smsc_async.client", "import smsc_async", "name the module"),
        ("smsc_async.client", "import h11", "extra simulator"),
        ("smsc_async.simulator.app", "import rich", "extra cli"),
        ("smsc_async.cli.demo", "import h11, typer\nfrom smsc_async.simulator import serve", None),
        ("smsc_async.http.send", "import httpx\nfrom ..limiter.queue import WaiterQueue\nfrom .. import errors", None),
        ("smsc_async.limiter.queue", "import anyio\nfrom .bucket import Bucket", None),
    ],
)
def test_these_rules_bite(module: str, source: str, breach: str | None) -> None:
    is_package = module in {"smsc_async.decoder", "smsc_async.limiter"}
    found = breaches(module, set(imports(module, source, is_package=is_package)))
    assert (breach is None) == (found == [])
    assert breach is None or breach in found[0]


def test_type_checkers_see_the_public_names_where_programs_get_them() -> None:
    imported = imports_of("smsc_async") - {"importlib.import_module", "typing.TYPE_CHECKING", "typing.Final"}
    imported.discard("__future__.annotations")
    assert sorted(name.rpartition(".")[2] for name in imported) == smsc_async.__all__
    for module, _, name in (name.rpartition(".") for name in imported):
        assert getattr(smsc_async, name) is getattr(importlib.import_module(module), name)


def test_public_names_are_sorted_and_there() -> None:
    assert smsc_async.__all__ == sorted(smsc_async.__all__)
    assert len(set(smsc_async.__all__)) == len(smsc_async.__all__)
    assert set(smsc_async.__all__) <= set(dir(smsc_async))
    for name in smsc_async.__all__:
        assert hasattr(smsc_async, name)


def test_every_module_has_a_docstring_and_the_names_that_it_lists() -> None:
    loaded = [importlib.import_module(module) for module in MODULES if not module.endswith("__main__")]
    assert [module.__name__ for module in loaded if not module.__doc__] == []
    missing = [
        f"{module.__name__}.{name}"
        for module in loaded
        for name in getattr(module, "__all__", ())
        if not hasattr(module, name)
    ]
    assert missing == []


def test_a_name_that_the_package_does_not_have_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'smsc_async' has no attribute 'nothing'"):
        getattr(smsc_async, "nothing")  # noqa: B009  # type checkers know as much
