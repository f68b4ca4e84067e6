"""Checks of arguments: each error names the argument, what it got, and what it takes."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterable, Callable, Iterable
from numbers import Real
from pathlib import Path
from typing import Protocol

from smsc_async.accounts import Account
from smsc_async.limiter.quota import Quota
from smsc_async.records import Format, checked_type


class _PathLike(Protocol):
    def __fspath__(self) -> str: ...


def check_types(
    *, account: object, quota: object, store: object, retries: object, on_event: object, tracing: object
) -> None:
    """Check arguments whose wrong types would fail later, and far from the mistake."""
    if account is not None:
        checked_account(account, "tariffs")
    check_limiter(quota, store)
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise TypeError(f"retries must be a whole number, not {type(retries).__name__}")
    if retries < 0:
        raise ValueError(f"retries={retries}: must be 0 or more")
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event must be a function of one event, not {type(on_event).__name__}")
    if inspect.iscoroutinefunction(on_event) or inspect.iscoroutinefunction(type(on_event).__call__):
        raise TypeError("on_event must be a plain function, which can start a task: nothing awaits an async one")
    checked_type("tracing", tracing, bool, "True or False")


def check_limiter(quota: object, store: object) -> None:
    """Check the types of the quota, and of its store or ``None``."""
    checked_type("quota", quota, Quota, "a Quota, such as Quota(requests=3)")
    if store is not None and (isinstance(store, type) or not hasattr(store, "lease_or_reply")):
        name = f"the class {store.__name__}" if isinstance(store, type) else type(store).__name__
        raise TypeError(f"store must be a store, such as SQLiteStore(path) or MemoryStore(), not {name}")


def checked_account(account: object, method: str) -> Account:
    """Return the account of a call of a method."""
    if account is None:
        raise ValueError(f"whose list? Pass an account to {method}() or to Client()")
    return checked_type("account", account, Account, "an Account, such as Account(login, password)")


def check_accounts(accounts: object, rule: str) -> None:
    """Check that there are many accounts, or one in a list."""
    if not isinstance(accounts, Iterable | AsyncIterable):
        raise TypeError(f"accounts is of type {type(accounts).__name__}: {rule}")


def checked_format(reply_format: Format) -> Format:
    """Return a format; its number is one, too."""
    checked_type("reply_format", reply_format, int, "a Format, such as Format.JSON")
    if reply_format not in set(Format):
        raise ValueError(f"reply_format={reply_format}: must be a Format, such as Format.JSON")
    return Format(reply_format)


def checked_path(path: str | _PathLike, advice: str) -> Path:
    """Return the absolute path of a file that several processes can open."""
    if not isinstance(path, str) and not hasattr(path, "__fspath__"):
        raise TypeError(f"path must be a path, such as 'tariffs.db', not {type(path).__name__}")
    place = Path(path)
    if str(place) == ":memory:":
        raise ValueError(f"path=':memory:': {advice}")
    if not place.name or "\0" in place.name:
        raise ValueError(f"path={str(path)!r}: must be the path of a file")
    return place.absolute()


def checked_age(seconds: float) -> float:
    """Return ``max_age``: 0 or more seconds."""
    return checked_number("max_age", seconds, lambda: seconds >= 0, "must be 0 (always fresh) or more seconds")


def checked_refresh(seconds: float, max_age: float) -> float:
    """Return ``refresh_after``: seconds, fewer than ``max_age``."""
    rule = f"must be more than 0 seconds, and less than max_age={max_age}"
    return checked_number("refresh_after", seconds, lambda: 0 < seconds < max_age, rule)


def checked_seconds(name: str, seconds: float) -> float:
    """Return a time: more than 0 seconds, and finite."""
    rule = "must be a finite number of seconds, more than 0"
    return checked_number(name, seconds, lambda: 0 < seconds < math.inf, rule)


def checked_number(name: str, seconds: float, is_valid: Callable[[], bool], rule: str) -> float:
    """Return a number of seconds that follows a rule."""
    # A decimal could not be added to the clock, which is a float. The abstract class last, because it takes five times as long.
    if not isinstance(seconds, (float, int, Real)):  # pyright: ignore[reportUnnecessaryIsInstance]  # for callers without a type checker
        raise TypeError(f"{name}={seconds!r}: must be a number of seconds, not {type(seconds).__name__}")
    if is_valid():
        return seconds
    raise ValueError(f"{name}={seconds}: {rule}")
