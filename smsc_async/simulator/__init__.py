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
from typing import TYPE_CHECKING

from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.app import Latency, Simulator
from smsc_async.simulator.faults import Fault
from smsc_async.simulator.rendering import render, render_refusal
from smsc_async.simulator.request_log import Arrival
from smsc_async.simulator.rules import Rules
from smsc_async.simulator.sample import make_tariffs, sample_tariffs
from smsc_async.simulator.violations import Violation

if TYPE_CHECKING:
    from smsc_async.simulator.serving import serve
else:

    def __getattr__(name: str) -> object:
        # Imported on first use: a server costs a tenth of a second, and needs a package of the extra.
        if name != "serve":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return import_module("smsc_async.simulator.serving").serve
        except ModuleNotFoundError as error:
            missing = error.name
        raise ImportError(f'serve needs {missing}: pip install "smsc-async[simulator]"')


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
