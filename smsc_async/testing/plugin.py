"""The pytest plugin: the fixtures ``smsc_server`` and ``smsc_rules``, and the marker ``smsc_rules``.

Invariant: importing this module imports nothing but pytest, which is imported already. pytest imports the module in every
test run in an environment that has this library, before a measurement of coverage begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from smsc_async.testing import Rules, SmscServer


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "smsc_rules(per=…, requests=…): limits of the smsc_server of this test, as for smsc_async.testing.Rules",
    )


@pytest.fixture
def smsc_rules() -> Rules:
    """The limits of ``smsc_server``: the provider's, with a minute of 2 seconds. Override the fixture for other limits.

    The marker of a test, as in ``@pytest.mark.smsc_rules(per=60.0)``, takes precedence.
    """
    from smsc_async.testing import Rules  # noqa: PLC0415  # see the invariant

    return Rules(per=2.0)


@pytest.fixture
def smsc_server(request: pytest.FixtureRequest, smsc_rules: Rules) -> Iterator[SmscServer]:
    """A simulated service for one test; see ``smsc_async.testing.SmscServer``.

    While the test runs, every ``Client`` without a store uses the store of this server, so tests do not share a quota. A
    ``Client`` of another host raises, and so does a look-up of a host name of the service.
    """
    import attrs  # noqa: PLC0415  # see the invariant

    from smsc_async.testing import SmscServer  # noqa: PLC0415
    from smsc_async.testing.guard import forbid_other_hosts  # noqa: PLC0415

    for marker in reversed(list(request.node.iter_markers("smsc_rules"))):  # the closest one last
        smsc_rules = attrs.evolve(smsc_rules, *marker.args, **marker.kwargs)
    with pytest.MonkeyPatch.context() as patch, SmscServer(rules=smsc_rules) as server:
        patch.setattr("smsc_async.stores._DEFAULT", server.store)
        forbid_other_hosts(patch)
        yield server
