"""What pytest finds by itself: the fixtures ``smsc_server`` and ``smsc_rules``, and the marker ``smsc_rules``.

Invariant: importing this module imports nothing but pytest, which is there already. It happens in every test run of
everybody who has this library installed, before a measurement of coverage begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from smsc_async.testing import Rules, SmscServer

__all__ = ["pytest_configure", "smsc_rules", "smsc_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "smsc_rules(per=…, requests=…): limits of the smsc_server of this test, as for smsc_async.testing.Rules",
    )


@pytest.fixture
def smsc_rules() -> Rules:
    """The limits of ``smsc_server``: the provider's, with a minute of 2 seconds. Override it for others.

    What a test is marked with, as in ``@pytest.mark.smsc_rules(per=60.0)``, comes on top.
    """
    from smsc_async.testing import Rules  # noqa: PLC0415  # see the invariant

    return Rules(per=2.0)


@pytest.fixture
def smsc_server(request: pytest.FixtureRequest, smsc_rules: Rules) -> Iterator[SmscServer]:
    """A simulated service of this test alone; see ``smsc_async.testing.SmscServer``.

    While the test runs, a ``Client`` that is made without a store shares one with those made in this test only: what
    one test has used of the quota is not missing in the next.
    """
    import attrs  # noqa: PLC0415  # see the invariant

    from smsc_async.stores import MemoryStore  # noqa: PLC0415
    from smsc_async.testing import SmscServer  # noqa: PLC0415

    for marker in reversed(list(request.node.iter_markers("smsc_rules"))):  # the closest one last
        smsc_rules = attrs.evolve(smsc_rules, **marker.kwargs)
    with pytest.MonkeyPatch.context() as patch, SmscServer(rules=smsc_rules) as server:
        patch.setattr("smsc_async.stores._DEFAULT", MemoryStore())
        yield server
