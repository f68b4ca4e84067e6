"""``simulator``: the simulated service for others to point at."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from time import sleep

from rich.console import Console

from smsc_async.cli.screen import notes
from smsc_async.cli.trouble import ExitCode, Trouble
from smsc_async.simulator import Arrival, Rules, SimulatedAccount, Simulator, sample_tariffs, serve

__all__ = ["PASSWORD", "new_simulator", "run_simulator"]

PASSWORD = "123"  # noqa: S105  # of accounts that do not exist

_LOOK_EVERY = 0.1


def new_simulator(logins: Sequence[str], *, per: float, latency: float) -> Simulator:
    """Return a service with an account for each login, each a tenth dearer than the one before.

    Args:
        logins: The logins, all with the same password.
        per: Seconds of the window in which three identical requests are answered.
        latency: Seconds that it works on an answer.

    Raises:
        Trouble: Two logins are the same, or a number is out of its range.
    """
    try:
        accounts = [
            SimulatedAccount(login, PASSWORD, tariffs=sample_tariffs(1 + Decimal(place) / 10))
            for place, login in enumerate(logins)
        ]
        return Simulator(accounts, rules=Rules(per=per), latency=latency)
    except ValueError as error:
        refused = str(error)
    raise Trouble(refused, ExitCode.USAGE)


def run_simulator(simulator: Simulator, logins: Sequence[str], *, host: str, port: int) -> None:
    """Serve until interrupted, and tell what arrives.

    Raises:
        OSError: The address or the port is not to be had.
    """
    err = notes()
    with serve(simulator, host=host, port=port) as server:
        # The address alone is data: a script reads it from a pipe.
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        err.print("in another terminal:")
        err.print(f"  export SMSC_BASE_URL={server.base_url}")
        err.print(f"  export SMSC_LOGIN={logins[0]} SMSC_PASSWORD={PASSWORD}")
        err.print("  smsc-async tariffs")
        err.print("Ctrl-C ends it; requests as they arrive:")
        # What a supervisor or a shell's `kill` sends is as good an end as Ctrl-C.
        former = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _tell_arrivals(simulator, err)
        except KeyboardInterrupt:
            err.print("ended")
        finally:
            signal.signal(signal.SIGTERM, former)


def _tell_arrivals(simulator: Simulator, err: Console) -> None:
    told = 0
    while True:
        for arrival in simulator.log:
            if arrival.number > told:
                told = arrival.number
                err.print(_line(arrival), soft_wrap=True)
        sleep(_LOOK_EVERY)


def _line(arrival: Arrival) -> str:
    answer = f"error {arrival.code}" if arrival.code else "answered"
    # The clock of the log has no date; what arrived has arrived within the last look.
    return f"{datetime.now():%H:%M:%S}  {arrival.login or '?'}  {arrival.path}  {arrival.format.name}  {answer}"  # noqa: DTZ005  # for eyes, in their own time
