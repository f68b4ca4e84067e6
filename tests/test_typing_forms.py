"""The type tests under ``tests/typing/`` have every public function, method and parameter."""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import smsc_async
from smsc_async import testing
from smsc_async.stores import Store

FORMS = Path(__file__).parent / "typing"

# Classes that the library makes and hands out: their fields are read, not given.
RESULTS = {
    "CallEnded",
    "Change",
    "ChangeKind",
    "Compared",
    "ComparedOperator",
    "Comparison",
    "Fault",
    "Format",
    "Lockout",
    "Outcome",
    "Period",
    "QuotaState",
    "RequestEnded",
    "Service",
    "Statistics",
    "Update",
}


def used_in(source: str) -> dict[str, set[str]]:
    """For each name that is called in the source, the keywords that it is called with."""
    calls: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                calls[name].update(keyword.arg for keyword in node.keywords if keyword.arg)
            case _:
                pass
    return calls


def public() -> Iterator[tuple[str, object]]:
    """The public functions, classes and methods, without the methods that connect stores with the library."""
    for name in [*smsc_async.__all__, *testing.__all__]:
        value = getattr(smsc_async if name in smsc_async.__all__ else testing, name)
        is_error = inspect.isclass(value) and issubclass(value, BaseException)
        if not is_error and name not in RESULTS and not name.startswith("smsc_"):
            yield name, value
        if inspect.isclass(value) and not is_error:
            for member in vars(value):
                method = getattr(value, member)
                if not member.startswith("_") and not hasattr(Store, member) and inspect.isroutine(method):
                    yield member, method


def missing(name: str, value: object, calls: dict[str, set[str]]) -> list[str]:
    if name not in calls:
        return [f"{name}()"]
    parameters = inspect.signature(value).parameters.values() if callable(value) else ()
    names = {each.name for each in parameters if each.kind in {each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD}} - {
        "self"
    }
    return [f"{name}({each}=…)" for each in sorted(names - calls[name])]


def test_every_public_call_form_has_a_type_test() -> None:
    calls = used_in("\n".join(path.read_text("utf-8") for path in sorted(FORMS.glob("*.py"))))
    assert [form for name, value in public() for form in missing(name, value, calls)] == []


@pytest.mark.parametrize(
    ("source", "forms"),
    [
        ("tariffs(account=1, max_age=1)", []),
        ("client.tariffs(account=1)\nclient.tariffs(max_age=1)", []),
        ("tariffs(account=1)", ["tariffs(max_age=…)"]),
        ("tariffs", ["tariffs()"]),
    ],
)
def test_a_form_that_is_missing_is_noticed(source: str, forms: list[str]) -> None:
    def tariffs(account: int, *, max_age: int) -> None: ...

    assert missing("tariffs", tariffs, used_in(source)) == forms
