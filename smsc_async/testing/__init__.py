"""The simulated service as a pytest fixture: ``smsc_server``.

Install the extra, ``pip install "smsc-async[testing]"``, and pytest finds the fixture by itself. A server starts for each
test that uses the fixture, on a free port of this machine; it serves synchronous tests and any event loop alike.

Example:
    >>> from smsc_async.testing import SmscServer
    >>> def test_every_list_has_prices(smsc_server: SmscServer) -> None:
    ...     assert smsc_server.violations() == []
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smsc_async.simulator.faults import Fault
    from smsc_async.simulator.rules import Rules
    from smsc_async.testing.server import SmscServer
else:
    # pytest imports this package in every run: nothing more is imported until the first use.
    _HOMES: Final = {"Fault": "simulator.faults", "Rules": "simulator.rules", "SmscServer": "testing.server"}

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"smsc_async.{_HOMES[name]}"), name)
        except ModuleNotFoundError as error:
            missing = error.name
        raise ImportError(f'{name} needs {missing}: pip install "smsc-async[testing]"')


__all__ = ["Fault", "Rules", "SmscServer"]
