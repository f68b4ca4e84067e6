"""The service as an ASGI app, for demonstrations and for users' tests.

``serve`` needs the extra: ``pip install "smsc-async[simulator]"``. Everything else works without it.

Example:
    >>> from smsc_async.simulator import Simulator, serve
    >>> with serve(Simulator()) as server:
    ...     server.base_url.startswith("http://127.0.0.1:")
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smsc_async.simulator.accounts import SimulatedAccount
    from smsc_async.simulator.app import Latency, Simulator
    from smsc_async.simulator.faults import Fault
    from smsc_async.simulator.rendering import render, render_refusal
    from smsc_async.simulator.request_log import Arrival
    from smsc_async.simulator.rules import Rules
    from smsc_async.simulator.sample import make_tariffs, sample_tariffs
    from smsc_async.simulator.serving import serve
    from smsc_async.simulator.violations import Violation
else:
    # Imported on first use: a server costs a tenth of a second, and most of this package needs none.
    _HOMES: Final = {
        "Arrival": "request_log",
        "Fault": "faults",
        "Latency": "app",
        "Rules": "rules",
        "SimulatedAccount": "accounts",
        "Simulator": "app",
        "Violation": "violations",
        "make_tariffs": "sample",
        "render": "rendering",
        "render_refusal": "rendering",
        "sample_tariffs": "sample",
        "serve": "serving",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        except ModuleNotFoundError as error:
            missing = error.name
        raise ImportError(f'{name} needs {missing}: pip install "smsc-async[simulator]"')


__all__ = [
    "Arrival",
    "Fault",
    "Latency",
    "Rules",
    "SimulatedAccount",
    "Simulator",
    "Violation",
    "make_tariffs",
    "render",
    "render_refusal",
    "sample_tariffs",
    "serve",
]
