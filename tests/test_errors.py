from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import attrs
import pytest

import smsc_async
from smsc_async import errors
from smsc_async.errors import (
    TRANSPORT_CAUSES,
    AddressBlocked,
    AddressPaused,
    ApiError,
    AuthenticationError,
    CircuitOpen,
    CredentialsRefused,
    DeadlineExceeded,
    DecodeError,
    IncompleteReply,
    NotSent,
    ParameterError,
    QuotaExhausted,
    SmscError,
    StoreError,
    StoreNotReady,
    TlsError,
    TooManyRequests,
    TransportCause,
    TransportError,
    TrialsExhausted,
    api_error,
    transport_error,
)

# Every error, the text that a user reads, and whether it is retryable, when, and may have counted.
ERRORS: list[tuple[SmscError, str, tuple[bool, float | None, bool]]] = [
    (SmscError("something"), "something", (False, None, False)),
    (
        ApiError(3, "no data"),
        "the service refused with error 3 (no data): look the code up in the provider's documentation",
        (False, None, True),
    ),
    (
        ApiError(7),
        "the service refused with error 7: look the code up in the provider's documentation",
        (False, None, True),
    ),
    (
        ParameterError(1, "wrong parameters"),
        (
            "the service refused with error 1 (wrong parameters): "
            "check the login for stray characters and base_url for the right service"
        ),
        (False, None, True),
    ),
    (
        AuthenticationError(2, "authorise error"),
        (
            "the service refused with error 2 (authorise error): "
            "check login and password, and the account's list of allowed addresses; the client does not retry by itself"
        ),
        (False, None, True),
    ),
    (
        AddressBlocked(4, "ip is blocked", 1800.0),
        (
            "the service refused with error 4 (ip is blocked): "
            "send nothing from this address until the block ends (the provider says 30 minutes)"
        ),
        (True, 1800.0, True),
    ),
    (
        TooManyRequests(9, "duplicate request, wait a minute"),
        (
            "the service refused with error 9 (duplicate request, wait a minute): "
            "another program uses this login; let all its workers share one store, and wait a minute before the next try"
        ),
        (True, 60.0, True),
    ),
    (
        DecodeError("not a number", "JSON", "zones[2].api", "'NaN'"),
        "JSON answer at zones[2].api: not a number, near 'NaN'",
        (False, None, True),
    ),
    (DecodeError("no format recognised"), "answer: no format recognised", (False, None, True)),
    (IncompleteReply("no mail", "plain text", "line 4"), "plain text answer at line 4: no mail", (True, None, True)),
    (TransportError("connection reset", True, False, 5.0, 502), "connection reset", (False, 5.0, True)),
    (TransportError("no such host", False), "no such host", (True, None, False)),
    (DeadlineExceeded("no answer within 90 s"), "no answer within 90 s", (True, None, True)),
    (TlsError("the certificate has expired"), "the certificate has expired", (False, None, False)),
    (
        QuotaExhausted(42.0),
        "not sent: this login has used its requests; the next permit is free in 42.0 s",
        (True, 42.0, False),
    ),
    (
        CredentialsRefused(),
        (
            "not sent: the service refused these credentials before (error 2); correct login or password, or the "
            "account's list of allowed addresses, then call reset_lockouts(account) or run smsc-async accounts check --again"
        ),
        (False, None, False),
    ),
    (
        TrialsExhausted(299.6),
        (
            "not sent: all places for credentials that are not known to work are taken, and the service blocks this "
            "address at the fifth authorization error; try again in 300 s"
        ),
        (True, 299.6, False),
    ),
    (
        AddressPaused(4, "", 299.6),
        (
            "not sent: the service has blocked this address (error 4); requests are sent again in 300 s, or after "
            "reset_lockouts()"
        ),
        (True, 299.6, False),
    ),
    (
        CircuitOpen(7.6),
        "not sent: the service did not respond to the last requests; the next probe is sent in 8 s",
        (True, 7.6, False),
    ),
    (
        StoreNotReady("the server was restarted", "redis.example:6379", retry_after=40.0),
        "redis.example:6379: the server was restarted; requests are sent again in 40 s",
        (True, 40.0, False),
    ),
    (StoreNotReady("the store is empty"), "the store is empty", (True, None, False)),
    (NotSent("nothing was sent"), "nothing was sent", (False, None, False)),
    (StoreError("the disk is full", "quota.db"), "quota.db: the disk is full", (True, None, False)),
    (StoreError("the disk is full"), "the disk is full", (True, None, False)),
]
ids = [f"{type(error).__name__}-{position}" for position, (error, _, _) in enumerate(ERRORS)]

COPIES: list[Callable[[SmscError], SmscError]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol)) for protocol in range(6)),
]


def every_class(top: type[SmscError] = SmscError) -> Iterator[type[SmscError]]:
    yield top
    for each in top.__subclasses__():
        yield from every_class(each)


def fields(error: SmscError) -> dict[str, object]:
    kind = type(error)
    names = [each.name for each in attrs.fields(kind)] if attrs.has(kind) else []
    return {name: getattr(error, name) for name in (*names, "retryable", "retry_after", "may_have_counted")}


def test_no_error_is_forgotten_here() -> None:
    assert {type(error) for error, _, _ in ERRORS} == set(every_class())


def test_every_error_is_public_and_in_the_tree_at_the_top_of_the_file() -> None:
    for each in every_class():
        assert each.__name__ in smsc_async.__all__
        assert f" {each.__name__}" in inspect.getdoc(errors)  # type: ignore[operator]


@pytest.mark.parametrize(("error", "text", "_traits"), ERRORS, ids=ids)
def test_the_text_says_what_happened_and_what_to_do(error: SmscError, text: str, _traits: object) -> None:
    assert str(error) == text


@pytest.mark.parametrize(("error", "_text", "traits"), ERRORS, ids=ids)
def test_every_error_tells_whether_and_when_to_try_again(error: SmscError, _text: str, traits: object) -> None:
    assert (error.retryable, error.retry_after, error.may_have_counted) == traits


@pytest.mark.parametrize(("error", "text", "_traits"), ERRORS, ids=ids)
def test_a_copy_has_the_same_data_and_text(error: SmscError, text: str, _traits: object) -> None:
    for make_copy in COPIES:
        twin = make_copy(error)
        assert type(twin) is type(error)
        assert fields(twin) == fields(error)
        assert (str(twin), repr(twin), twin.args) == (text, repr(error), error.args)


@pytest.mark.parametrize("kind", {type(error): None for error, _, _ in ERRORS})
def test_a_copy_keeps_notes_and_what_was_set_later(kind: type[SmscError]) -> None:
    error = copy.copy(next(each for each, _, _ in ERRORS if type(each) is kind))
    error.add_note("asked by the nightly job")
    error.retry_after = 7.0
    error.may_have_counted = not error.may_have_counted
    for make_copy in COPIES:
        twin = make_copy(error)
        assert twin.__notes__ == ["asked by the nightly job"]
        assert fields(twin) == fields(error)


@pytest.mark.parametrize(("error", "_text", "_traits"), ERRORS, ids=ids)
def test_an_error_can_be_raised_noted_and_caught_as_what_it_is(error: SmscError, _text: str, _traits: object) -> None:
    twin = copy.copy(error)
    with pytest.raises(SmscError) as caught:
        raise twin from LookupError("below")
    assert caught.value is twin
    assert isinstance(twin.__cause__, LookupError)
    assert len({twin, error}) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, ParameterError),
        (2, AuthenticationError),
        (4, AddressBlocked),
        (9, TooManyRequests),
        (3, ApiError),
        (99, ApiError),
    ],
)
def test_a_code_has_its_class_and_an_unknown_one_is_a_plain_refusal(code: int, kind: type[ApiError]) -> None:
    error = api_error(code, "text")
    assert type(error) is kind
    assert (error.code, error.description) == (code, "text")
    assert api_error(code).description == ""


def test_a_tls_error_has_its_parents_fields_in_its_parents_order() -> None:
    assert [each.name for each in attrs.fields(TlsError)] == [each.name for each in attrs.fields(TransportError)]


def documented() -> list[tuple[str, str, bool, str, bool]]:
    """Every row of the tables of the page: class, cause, retryable, retry_after, may_have_counted."""
    page = (Path(__file__).parents[1] / "docs" / "errors.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (yes|no) \| (\w+) \| (yes|no) \|", page, re.MULTILINE)
    return [
        (name, cause, retryable == "yes", after, counted == "yes") for name, cause, retryable, after, counted in rows
    ]


EXAMPLES: dict[str, SmscError] = {
    "ApiError": ApiError(3),
    "ParameterError": api_error(1),
    "AuthenticationError": api_error(2),
    "AddressBlocked": api_error(4),
    "TooManyRequests": api_error(9),
    "DecodeError": DecodeError("x"),
    "IncompleteReply": IncompleteReply("x"),
    "DeadlineExceeded": DeadlineExceeded("x"),
    "TlsError": TlsError("x"),
    "QuotaExhausted": QuotaExhausted(9.0),
    "StoreNotReady": StoreNotReady("x", retry_after=9.0),
    "CredentialsRefused": CredentialsRefused(),
    "TrialsExhausted": TrialsExhausted(9.0),
    "AddressPaused": AddressPaused(4, "", 9.0),
    "CircuitOpen": CircuitOpen(9.0),
    "StoreError": StoreError("x"),
}


@pytest.mark.parametrize("row", documented(), ids=lambda row: f"{row[0]}: {row[1].partition(':')[0][:20]}")
def test_the_page_says_what_an_error_of_each_cause_says(row: tuple[str, str, bool, str, bool]) -> None:
    name, cause, retryable, after, counted = row
    if name == "TransportError":
        error: SmscError = transport_error(cast("TransportCause", cause.partition(":")[0]), "x")
    else:
        error = EXAMPLES[name]
    assert (error.retryable, error.may_have_counted) == (retryable, counted)
    assert {"none": None, "seconds": 9.0}.get(after, after) == (
        error.retry_after if after in {"none", "seconds"} else f"{error.retry_after:.0f}"
    )


def test_the_page_has_a_row_for_every_cause() -> None:
    rows = documented()
    assert {name for name, *_ in rows} == {each.__name__ for each in every_class()} - {"SmscError", "NotSent"}
    assert {cause.partition(":")[0] for name, cause, *_ in rows if name == "TransportError"} == set(TRANSPORT_CAUSES)


def test_a_repr_shows_the_fields_of_an_error_but_not_the_reply() -> None:
    shown = repr(DecodeError("not a number", "JSON", "zones[2].api", "'NaN'", b"the reply"))
    fields = "message='not a number', format='JSON', position='zones[2].api', excerpt=\"'NaN'\""
    assert shown == f"DecodeError({fields})"
    assert repr(SmscError("text")) == "SmscError('text')"
