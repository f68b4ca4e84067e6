"""Accounts, and the proof that a credential shows nowhere. Every search for it is shown to find a planted one first."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from smsc_async import Account, Secret

PASSWORD = "hunter2-Ж"
ACCOUNTS = [
    Account("alex", PASSWORD),
    Account("alex", Secret(PASSWORD)),
    Account.with_api_key(PASSWORD),
    Account.with_api_key(Secret(PASSWORD), name="alex"),
    Account.from_env({"SMSC_LOGIN": "alex", "SMSC_PASSWORD": PASSWORD}),
    Account.from_env({"SMSC_API_KEY": PASSWORD, "SMSC_PASSWORD": PASSWORD}),
]


class Open:
    """What ``Secret`` is not: it shows its value in every way that is searched here."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Open({self.value!r})"


@attrs.frozen
class OpenAccount:
    """What ``Account`` is not."""

    login: str
    secret: object


def logged(value: object) -> str:
    stream = io.StringIO()
    logger = logging.Logger("test")  # noqa: LOG001  # of its own: what is tested here sets no handler for others
    logger.addHandler(logging.StreamHandler(stream))
    logger.error("%s %r %a", value, value, value)
    logger.error("%(it)s", {"it": value})
    logger.error(value)
    return stream.getvalue()


def locals_of_a_traceback(value: object) -> str:
    def fail(given: object) -> None:
        kept = [given, {"it": given}]
        raise LookupError(kept)

    try:
        fail(value)
    except LookupError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError


def everything_of(value: object) -> str:
    """What a walk over slots and dicts shows, as debuggers and error reporters do it."""
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    slots = {name: getattr(value, name, None) for name in names}
    return repr((slots, {name: repr(each) for name, each in slots.items()}, getattr(value, "__dict__", None)))


def pickled(value: object) -> str:
    shown = ""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            shown += pickle.dumps(value, protocol).decode("utf-8", "backslashreplace")
            shown += repr(pickle.loads(pickle.dumps(value, protocol)))
        except TypeError as error:
            shown += f"{error!r} {locals_of_a_traceback(error)}"
    return shown


def is_attrs(value: object) -> bool:
    return attrs.has(type(value))


def formatted(value: object) -> str:
    shown = ""
    for spec in ("", ">30", "s", "x"):
        try:
            shown += format(value, spec)
        except (TypeError, ValueError) as error:
            shown += repr(error)
    return shown


VIEWS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "f-string": lambda value: f"{value} {value!r} {value!s} {value!a} {value=}",
    "format": formatted,
    "percent": lambda value: "%s %r %a" % (value, value, value),  # noqa: UP031  # that is the test
    "pprint": pprint.pformat,
    "inside": lambda value: f"{[value]} {(value,)} { ({'it': value}) } {LookupError(value)!r}",
    "asdict": lambda value: repr(attrs.asdict(value)) if is_attrs(value) else "",
    "astuple": lambda value: repr(attrs.astuple(value)) if is_attrs(value) else "",
    "json": lambda value: json.dumps(value, default=str) + json.dumps(value, default=repr),
    "walk": everything_of,
    "log": logged,
    "traceback": locals_of_a_traceback,
    "pickle": pickled,
    "copy": lambda value: repr(copy.copy(value)) + everything_of(copy.copy(value)),
    "deepcopy": lambda value: repr(copy.deepcopy(value)) + everything_of(copy.deepcopy(value)),
}


def shows(text: str) -> bool:
    escaped = PASSWORD.encode("ascii", "backslashreplace").decode()
    return PASSWORD in text or escaped in text or "hunter2" in text


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_the_search_finds_a_planted_password(view: Callable[[Any], str]) -> None:
    assert shows(view(Open(PASSWORD)) + view(OpenAccount("alex", Open(PASSWORD))))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_no_view_of_a_secret_or_an_account_shows_the_credential(view: Callable[[Any], str]) -> None:
    assert [value for value in (Secret(PASSWORD), *ACCOUNTS) if shows(view(value))] == []


def test_a_secret_gives_itself_up_by_method_alone() -> None:
    secret = Secret(PASSWORD)
    assert secret.reveal() == PASSWORD
    with pytest.raises(TypeError):
        vars(secret)


def test_a_secret_cannot_be_changed() -> None:
    secret = Secret(PASSWORD)
    with pytest.raises(AttributeError, match="make a new one"):
        secret.value = "other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="make a new one"):
        del secret._reveal  # pyright: ignore[reportPrivateUsage]
    assert secret.reveal() == PASSWORD


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("\ud800") == Secret("\ud800")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert bool(Secret("a"))
    assert not Secret("")


def test_the_hash_of_a_secret_is_not_that_of_its_text() -> None:
    # PYTHONHASHSEED can be fixed: then it would be a digest by which passwords can be tried, in any other process.
    guesses = ("a", ("a",), ("Secret", "a"), (b"", "a"))
    assert hash(Secret("a")) not in {hash(guess) for guess in guesses}


def test_a_copy_of_a_secret_is_the_secret_and_pickling_it_is_refused() -> None:
    secret = Secret(PASSWORD)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"read the password where it is used, as with Account\.from_env\(\)"):
            pickle.dumps(secret, protocol)
        with pytest.raises(TypeError, match="a Secret is not pickled"):
            pickle.dumps(Account("alex", secret), protocol)


@pytest.mark.parametrize("password", ["пароль и пробел", " 123 ", "a\u200db", "ß-\u00a0-€", "x" * 4096])
def test_any_text_that_can_be_typed_is_a_password(password: str) -> None:
    assert Account(password, password).secret.reveal() == password


@pytest.mark.parametrize("account", ACCOUNTS, ids=repr)
def test_copies_of_an_account_are_equal_hash_alike_and_keep_the_credential(account: Account) -> None:
    for twin in (copy.copy(account), copy.deepcopy(account), attrs.evolve(account)):
        assert twin == account
        assert hash(twin) == hash(account)
        assert twin.secret.reveal() == PASSWORD
        assert twin.fingerprint == account.fingerprint


def test_an_account_is_frozen() -> None:
    account = Account("alex", PASSWORD)
    with pytest.raises(AttributeError):
        account.login = "boris"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_accounts_are_equal_by_login_credential_and_its_kind() -> None:
    account = Account("alex", "123")
    assert account == Account("alex", Secret("123"))
    others = [Account("alex", "124"), Account("boris", "123"), Account.with_api_key("123", name="alex")]
    assert account not in others
    assert len({account, Account("alex", "123"), *others}) == 4


def test_fingerprints_are_equal_for_equal_accounts_alone() -> None:
    accounts = [
        Account("alex", "123"),
        Account("alex", "124"),
        Account("alex1", "23"),
        Account("boris", "123"),
        Account.with_api_key("123", name="alex"),
    ]
    assert len({account.fingerprint for account in accounts}) == len(accounts)
    assert Account("alex", "123").fingerprint == accounts[0].fingerprint == accounts[0].fingerprint
    assert len(accounts[0].fingerprint) == 16


def test_an_evolved_account_has_a_fingerprint_of_its_own() -> None:
    account = Account("alex", "123")
    fingerprint = account.fingerprint
    assert attrs.evolve(account, password="124").fingerprint == Account("alex", "124").fingerprint != fingerprint


def test_an_account_shows_its_login_and_that_it_uses_a_key() -> None:
    assert repr(Account("alex", "123")) == "Account('alex')"
    assert repr(Account.with_api_key("123", name="alex")) == "Account('alex', api key)"


def test_a_key_without_a_name_has_a_login_of_its_own_that_is_the_same_in_every_process() -> None:
    account = Account.with_api_key("k-4711")
    assert account == Account.with_api_key(Secret("k-4711"))
    assert (account.login, account.quota_login) == ("key-c8a2", "key-c8a28ebc7d1841aa")
    assert account.uses_api_key
    assert Account.with_api_key("k-4712").login != account.login
    assert Account.with_api_key("k-4711", name="alex").quota_login == "alex"
    assert Account("key-c8a2", "k-4711").quota_login == "key-c8a2"


def test_what_an_account_shows_of_a_key_without_a_name_fits_many_keys() -> None:
    shown: dict[str, set[str]] = {}
    for number in range(1_000, 3_000):
        account = Account.with_api_key(str(number))
        shown.setdefault(account.login, set()).add(account.quota_login)
        assert account.quota_login not in repr(account)
    assert any(len(labels) > 1 for labels in shown.values())


def test_the_environment_names_an_account() -> None:
    login = {"SMSC_LOGIN": "alex"}
    assert Account.from_env({**login, "SMSC_PASSWORD": "123"}) == Account("alex", "123")
    assert Account.from_env({**login, "SMSC_API_KEY": "k"}) == Account.with_api_key("k", name="alex")
    assert Account.from_env({"SMSC_LOGIN": "", "SMSC_API_KEY": "k"}) == Account.with_api_key("k")
    both = {**login, "SMSC_PASSWORD": "123", "SMSC_API_KEY": "k"}
    assert Account.from_env(both) == Account.with_api_key("k", name="alex")


def test_without_an_argument_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSC_LOGIN", "alex")
    monkeypatch.setenv("SMSC_PASSWORD", "123")
    monkeypatch.delenv("SMSC_API_KEY", raising=False)
    assert Account.from_env() == Account("alex", "123")


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "SMSC_LOGIN and SMSC_PASSWORD not set"),
        ({"SMSC_LOGIN": "alex"}, "^SMSC_PASSWORD not set"),
        ({"SMSC_LOGIN": "alex", "SMSC_PASSWORD": ""}, "^SMSC_PASSWORD not set"),
        ({"SMSC_PASSWORD": "123", "SMSC_API_KEY": ""}, "^SMSC_LOGIN not set"),
    ],
)
def test_an_environment_that_lacks_something_says_what(environ: dict[str, str], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        Account.from_env(environ)


# Each makes an account from what a caller got wrong, with the credential somewhere in it.
MISUSES: dict[str, tuple[Callable[[Any], Account], Any, type[Exception], str]] = {
    "empty login": (lambda it: Account("", it), PASSWORD, ValueError, "the login is empty"),
    "blank login": (lambda it: Account(" \t", it), PASSWORD, ValueError, "the login is empty"),
    "login of bytes": (lambda it: Account(b"alex", it), PASSWORD, TypeError, "the login must be a str, not bytes"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    "login that cannot be sent": (lambda it: Account("\udcff", it), PASSWORD, ValueError, "the login is not text"),
    "login with a line break": (lambda it: Account("alex\n", it), PASSWORD, ValueError, "the login has a line break"),
    "login with a byte order mark": (
        lambda it: Account("\ufeffalex", it),
        PASSWORD,
        ValueError,
        "the login has a line",
    ),
    "password with a line break": (lambda it: Account("alex", it), f"{PASSWORD}\r\n", ValueError, "the password has a"),
    "password with a separator": (
        lambda it: Account("alex", it),
        f"{PASSWORD}\u2028",
        ValueError,
        "the password has a",
    ),
    "secret with a control character": (
        lambda it: Account("alex", it),
        Secret(f"{PASSWORD}\0"),
        ValueError,
        "has a line",
    ),
    "key with a tab": (Account.with_api_key, f"{PASSWORD}\t", ValueError, "the API key has a line break"),
    "key with a byte order mark": (Account.with_api_key, f"\ufeff{PASSWORD}", ValueError, "the API key has a line"),
    "name with a C1 control": (
        lambda it: Account.with_api_key(it, name="a\x85"),
        PASSWORD,
        ValueError,
        "the login has",
    ),
    "password of the environment with a line break": (
        Account.from_env,
        {"SMSC_LOGIN": "alex", "SMSC_PASSWORD": f"{PASSWORD}\n"},
        ValueError,
        "which no password has",
    ),
    "empty password": (lambda it: Account("alex", it), "", ValueError, "the password is empty: pass the one of your"),
    "secret of nothing": (lambda it: Account("alex", it), Secret(" "), ValueError, "the password is empty"),
    "password of bytes": (lambda it: Account("alex", it), PASSWORD.encode(), TypeError, "must be a str, not bytes"),
    "password of None": (lambda it: Account("alex", it), None, TypeError, "the password must be a str, not NoneType"),
    "password that cannot be sent": (
        lambda it: Account("alex", it),
        PASSWORD + "\udcff",
        ValueError,
        "the password is not text that can be sent",
    ),
    "key with an empty name": (lambda it: Account.with_api_key(it, name=""), PASSWORD, ValueError, "login is empty"),
    "empty key": (Account.with_api_key, "", ValueError, "the API key is empty"),
    "key of bytes": (Account.with_api_key, PASSWORD.encode(), TypeError, "the API key must be a str, not bytes"),
    "secret of an empty key": (
        lambda it: Account("alex", it, uses_api_key=True),
        Secret(""),
        ValueError,
        "the API key",
    ),
    "no login in the environment": (Account.from_env, {"SMSC_PASSWORD": PASSWORD}, ValueError, "SMSC_LOGIN not set"),
    "blank login in the environment": (
        Account.from_env,
        {"SMSC_LOGIN": " ", "SMSC_PASSWORD": PASSWORD},
        ValueError,
        "the login is empty",
    ),
    "key that cannot be sent in the environment": (
        Account.from_env,
        {"SMSC_API_KEY": PASSWORD + "\udcff"},
        ValueError,
        "the API key is not text that can be sent: read it as UTF-8 and pass it again",
    ),
}


def frames_of_the_library(error: BaseException) -> str:
    """The traceback with locals, less this file's own frames, which hold the password by right."""
    told = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    frames = [frame for frame in told.stack if frame.filename != __file__]
    assert error.__context__ is None
    return f"{error!r} {[(frame.name, frame.locals) for frame in frames]}"


@pytest.mark.parametrize(("make", "given", "kind", "text"), MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_told_without_showing_the_credential(
    make: Callable[[Any], Account], given: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        make(given)
    assert text in str(caught.value)
    told = frames_of_the_library(caught.value)
    assert "_check" in told or "from_env" in told
    assert not shows(told)


def test_the_search_of_a_librarys_frames_finds_a_planted_password() -> None:
    space: dict[str, Any] = {}
    exec(compile("def careless(password):\n    raise ValueError('no')", "elsewhere.py", "exec"), space)
    with pytest.raises(ValueError, match="no") as caught:
        space["careless"](PASSWORD)
    assert shows(frames_of_the_library(caught.value))
