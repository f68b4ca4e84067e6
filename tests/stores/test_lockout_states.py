"""What a process remembers of the lockouts of a shared store."""

from __future__ import annotations

import pytest

from smsc_async.fetch.lockout import Cause, CredentialsState, Place, ServiceState, Verdict
from smsc_async.limiter.clock import now
from smsc_async.stores import lockout_states
from smsc_async.stores.lockout_states import CredentialNames, LoadedStates, LockoutStates


def _states(login: str, verdict: Verdict, service: ServiceState | None = None) -> LoadedStates:
    names = CredentialNames("smsc", f"digest of {login}", f"smsc credentials of {login}")
    states = LoadedStates(names, service or ServiceState(), CredentialsState(names.login), now())
    place = states.take("a request")
    assert isinstance(place, Place)
    states.settle(place, verdict)
    return states


def test_a_login_that_is_unknown_here_has_no_name() -> None:
    view = LockoutStates()
    view.note(_states("alex", Verdict.REFUSED))
    assert [(each.cause, each.login) for each in view.lockouts("smsc")] == [(Cause.CREDENTIALS, "another login")]


def test_a_suspect_has_its_name_however_many_logins_come_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout_states, "_REMEMBERED", 2)
    view, service = LockoutStates(), ServiceState()
    for login, verdict in [("alex", Verdict.REFUSED), *((f"login-{n}", Verdict.LIST) for n in range(5))]:
        view.logins[f"digest of {login}"] = login
        view.note(_states(login, verdict, service))
    assert len(view.logins) == 2
    assert [each.login for each in view.lockouts("smsc")] == ["alex"]


def test_only_the_latest_suspects_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout_states, "_REMEMBERED", 2)
    view, service = LockoutStates(), ServiceState()
    for login in ("one", "two", "three"):
        view.logins[f"digest of {login}"] = login
        view.note(_states(login, Verdict.REFUSED, service))
    assert {each.login for each in view.lockouts("smsc")} == {"two", "three"}


def test_a_list_ends_the_suspicion() -> None:
    view = LockoutStates()
    states = _states("alex", Verdict.UNANSWERED)
    view.note(states)
    view.note(_states("alex", Verdict.LIST))
    assert view.lockouts("smsc") == []
