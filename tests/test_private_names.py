"""The package uses only documented names of its dependencies.

A renamed private attribute once disabled a promise without an error. Ruff's SLF001 reports ``other._name`` in the package.
This file covers what that rule does not see: names in strings, imports, inherited and overridden private names, and decisions
that depend on the name of a class. It reads the source; only the names that a base class of a dependency has are read from
the imported class.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

import smsc_async

PACKAGE = Path(smsc_async.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}

_BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "methodcaller", "__getattribute__", "__getattr__"}
_NAMES_OF_CLASSES = {"__name__", "__qualname__", "__module__"}


def is_private(name: str) -> bool:
    return bool(re.fullmatch(r"_[A-Za-z0-9]\w*|__\w+(?<!__)", name))


def is_own(name: str) -> bool:
    return name == "smsc_async" or name.startswith("smsc_async.")


_parsed = functools.cache(ast.parse)


class Definitions(ast.NodeVisitor):
    """The private names that some source defines: anywhere, and for each class."""

    def __init__(self, *sources: str) -> None:
        self.everywhere: set[str] = set()
        self.classes: dict[str, set[str]] = {}
        self.bases: dict[str, set[str]] = {}
        self._inside: list[str] = []
        for source in sources:
            self.visit(_parsed(source))

    def _define(self, name: str) -> None:
        if is_private(name):
            self.everywhere.add(name)
            for each in self._inside[-1:]:
                self.classes[each].add(name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._define(node.name)
        self.classes.setdefault(node.name, set())
        self.bases.setdefault(node.name, set()).update(name for base in node.bases if (name := _last_name(base)))
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._define(node.name)
        self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._define(node.name)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._define(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store) and _is_self(node.value):
            self._define(node.attr)
        self.generic_visit(node)

    def of(self, name: str) -> set[str]:
        """Return the names of a class and of those of its bases that have a definition here."""
        return self.classes.get(name, set()).union(
            *(self.of(base) for base in self.bases.get(name, ()) if base != name)
        )


def _last_name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last_name(value)
        case _:
            return None


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _class_names(node: ast.AST) -> Iterator[str]:
    """Every ``type(x).__name__`` and ``x.__class__.__name__`` in an expression."""
    for each in ast.walk(node):
        match each:
            case ast.Attribute(
                value=ast.Call(func=ast.Name(id="type")) | ast.Attribute(attr="__class__"), attr=attr
            ) if attr in _NAMES_OF_CLASSES:
                yield ast.unparse(each)
            case _:
                pass


class Violations(ast.NodeVisitor):
    """What a module's source uses of the private parts of others."""

    def __init__(self, module: str, source: str, own: Definitions) -> None:
        self.found: list[str] = []
        self._module = module
        self._own = own
        self._inside: list[str] = []
        self.visit(_parsed(source))

    def _report(self, node: ast.stmt | ast.expr, text: str) -> None:
        self.found.append(f"{self._module}:{node.lineno}: {text}")

    def _imported(self, node: ast.stmt | ast.expr, name: str) -> None:
        if not is_own(name) and any(is_private(part) for part in name.split(".")):
            self._report(node, f"imports {name}, which is private")

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imported(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names if not node.level else ():
            self._imported(node, f"{node.module}.{alias.name}")

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if is_private(node.attr):
            is_self = _is_self(node.value) and self._inside
            known = self._own.of(self._inside[-1]) if is_self else self._own.everywhere
            if node.attr not in known:
                self._report(node, f"{ast.unparse(node)} is defined by nobody in the package")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _last_name(node.func)
        texts = list(_texts(node.args))
        if name in _BY_NAME and not (node.args and _is_self(node.args[0])):
            for text in texts:
                if not is_own(text) and any(is_private(part) for part in text.split(".")):
                    self._report(node, f"{ast.unparse(node)} names a private attribute in a string")
        if name in {"import_module", "__import__"}:
            for text in texts:
                self._imported(node, text)
        if name in {"startswith", "endswith", "get", "search", "match", "fullmatch"}:
            self._decides(node, node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        match node.value:
            case ast.Attribute(attr="__dict__") | ast.Call(func=ast.Name(id="vars")):
                for text in _texts([node.slice]):
                    if is_private(text):
                        self._report(node, f"{ast.unparse(node)} names a private attribute in a string")
            case _:
                self._decides(node, node.slice)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        self._decides(node, node)
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        self._decides(node, node.subject)
        self.generic_visit(node)

    def _decides(self, node: ast.stmt | ast.expr, part: ast.AST) -> None:
        for text in _class_names(part):
            self._report(node, f"a decision depends on {text}: use isinstance()")


def violations(module: str, source: str, own: Definitions) -> list[str]:
    return Violations(module, source, own).found


def private_names_of(kind: type) -> set[str]:
    """The private names of a class of a dependency: of the class itself, and those that its methods set on ``self``."""
    names = {name for name in vars(kind) if is_private(name)}
    for each in vars(kind).values():
        if inspect.isfunction(each):
            try:
                source = textwrap.dedent(inspect.getsource(each))
            except OSError:  # a generated method, for example of attrs
                continue
            names |= Definitions(source).everywhere
    return names


def overridden(kind: type) -> list[str]:
    """The private names that a class has in common with one of its bases in a dependency."""
    near = {kind.__module__.partition(".")[0], *sys.stdlib_module_names}
    foreign = [base for base in kind.__mro__[1:] if base.__module__.partition(".")[0] not in near]
    own = Definitions(textwrap.dedent(inspect.getsource(kind))).everywhere if foreign else set[str]()
    return [
        f"{kind.__module__}.{kind.__name__} overrides {base.__module__}.{base.__name__}.{name}"
        for base in foreign
        for name in sorted(own & private_names_of(base))
    ]


def classes_of(module: str) -> list[type]:
    loaded = importlib.import_module(module)
    return [each for each in vars(loaded).values() if inspect.isclass(each) and each.__module__ == module]


def test_no_private_name_of_a_dependency_is_used() -> None:
    own = Definitions(*SOURCES.values())
    found = [text for module, source in SOURCES.items() for text in violations(module, source, own)]
    imported = [module for module in SOURCES if not module.endswith("__main__")]
    found += [text for module in imported for kind in classes_of(module) for text in overridden(kind)]
    assert found == []


PLANTED = {
    "import httpx._urls": "imports httpx._urls",
    "from httpx import _client": "imports httpx._client",
    "from httpx._urls import URL": "imports httpx._urls.URL",
    "from _pytest.doctest import DoctestModule": "imports _pytest",
    "def f():\n    import anyio._core as core": "imports anyio._core",
    "import_module('anyio._backends')": "imports anyio._backends",
    "response._content": "response._content is defined by nobody",
    "response._content = b''": "response._content is defined by nobody",
    "f(connection)._h11_state": "_h11_state is defined by nobody",
    "class A:\n    def f(self):\n        return self._pool": "self._pool is defined by nobody",
    "class A:\n    def f(self):\n        return super()._make_status_line()": "_make_status_line is defined by nobody",
    "class A:\n    _mine = 1\nclass B:\n    def f(self):\n        return self._mine": "self._mine is defined by nobody",
    "getattr(stream, '_protocol')": "names a private attribute in a string",
    "getattr(stream, '_protocol', None)": "names a private attribute in a string",
    "hasattr(stream, '_stream')": "names a private attribute in a string",
    "setattr(stream, '_stream', 1)": "names a private attribute in a string",
    "operator.attrgetter('_transport._sock')": "names a private attribute in a string",
    "object.__getattribute__(stream, '_stream')": "names a private attribute in a string",
    "vars(stream)['_stream']": "names a private attribute in a string",
    "stream.__dict__['_stream']": "names a private attribute in a string",
    "if type(clock).__name__ == 'SystemClock': ...": "a decision depends on type(clock).__name__",
    "type(clock).__name__ in {'SystemClock'}": "a decision depends on",
    "clock.__class__.__qualname__ != 'SystemClock'": "a decision depends on",
    "type(clock).__module__.startswith('trio.')": "a decision depends on",
    "match type(clock).__name__:\n    case 'SystemClock': ...": "a decision depends on",
    "{'SystemClock': 1}[type(clock).__name__]": "a decision depends on",
    "CLOCKS.get(type(clock).__name__)": "a decision depends on",
    "f'{type(clock).__name__}' == 'SystemClock'": "a decision depends on",
}


@pytest.mark.parametrize(("source", "reason"), PLANTED.items(), ids=PLANTED)
def test_a_planted_violation_is_reported(source: str, reason: str) -> None:
    found = violations("smsc_async.planted", source, Definitions(source))
    assert len(found) == 1
    assert reason in found[0]


FINE = [
    "from smsc_async import _private\nimport smsc_async.http._private\nfrom ._names import one\nfrom . import _other",
    "import httpx\nfrom os import path as _path\nfrom __future__ import annotations",
    "class A:\n    _a: int\n    def f(self):\n        self._b = self._a\n        return self._b, self.__class__, self.__dict__",
    "class A:\n    _a: int\nclass B(A):\n    def f(self):\n        return self._a, getattr(self, '_a', None)",
    "class A:\n    def _f(self): ...\ndef g(a):\n    return a._f()",
    "raise TypeError(f'not {type(value).__name__}')",
    "name = type(value).__name__\nlog(type(value).__qualname__)",
    "isinstance(clock, SystemClock) or type(clock) is SystemClock",
    "getattr(zone, 'api'), vars(zone)['api'], row['_id'], getattr(zone, name), setattr('smsc_async.stores._ONE', 1)",
]


@pytest.mark.parametrize("source", FINE)
def test_own_private_names_and_documented_names_are_fine(source: str) -> None:
    assert violations("smsc_async.planted", source, Definitions(source)) == []


def test_an_override_of_a_private_method_is_reported() -> None:
    import httpx

    class Client(httpx.AsyncClient):
        def _transport_for_url(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
            return super()._transport_for_url(url)

        def _mine(self) -> None: ...

    class State(httpx.AsyncClient):
        def __init__(self) -> None:
            super().__init__()
            self._mounts = {}  # an attribute that the base class sets in its constructor

    assert [text.rpartition(".")[2] for text in overridden(Client)] == ["_transport_for_url"]
    assert [text.rpartition(".")[2] for text in overridden(State)] == ["_mounts"]


def test_a_base_of_the_standard_library_or_of_the_package_is_no_dependency() -> None:
    class Base(Protocol):
        _mine: int

    class Both(Base, Exception):
        _mine = 2

    assert overridden(Both) == []
