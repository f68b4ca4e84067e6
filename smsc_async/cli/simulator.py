"""``simulator``: the simulated service for others to point at."""

from __future__ import annotations

import math
import signal
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from time import monotonic, sleep

import attrs
from rich.console import Console

from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes
from smsc_async.cli.exit import detach_stdout
from smsc_async.cli.formats import write_text
from smsc_async.protocol import is_loopback
from smsc_async.records import Tariffs
from smsc_async.simulator import Arrival, Rules, SimulatedAccount, Simulator, sample_tariffs, serve

__all__ = ["PASSWORD", "new_accounts", "new_simulator", "run_simulator"]

PASSWORD = "123"  # noqa: S105  # of accounts that do not exist

_LOOK_EVERY = 0.1


def new_accounts(
    logins: Sequence[str], *, api_keys: Sequence[str] = (), accepts_md5: bool = False
) -> list[SimulatedAccount]:
    """Return an account for each login, each a tenth dearer than the one before.

    Args:
        logins: The logins.
        api_keys: API keys with the login of each, as in ``"alex=k-4711"``.
        accepts_md5: Whether the MD5 of a password is accepted too.

    Raises:
        CliError: A login is empty, or an API key names none of the logins.
    """
    keys: dict[str, str] = {}
    for pair in api_keys:
        login, _, key = pair.partition("=")
        if login not in logins or not key:
            raise CliError(f"--api-key needs a login of --login and a key, such as {logins[0]}=KEY", ExitCode.USAGE)
        keys[login] = key
    try:
        return [
            SimulatedAccount(
                login,
                PASSWORD,
                tariffs=sample_tariffs(1 + Decimal(place) / 10),
                api_key=keys.get(login),
                accepts_md5=accepts_md5,
            )
            for place, login in enumerate(logins)
        ]
    except ValueError as error:
        refused = str(error)
    raise CliError(refused, ExitCode.USAGE)


def new_simulator(accounts: Sequence[SimulatedAccount], *, per: float, latency: float) -> Simulator:
    """Return a service with these accounts.

    Args:
        accounts: The accounts.
        per: Seconds of the window in which three identical requests are answered.
        latency: Seconds that it works on an answer.

    Raises:
        CliError: Two logins are the same, or a number is out of its range.
    """
    try:
        return Simulator(accounts, rules=Rules(per=per), latency=latency)
    except ValueError as error:
        refused = str(error)
    raise CliError(refused, ExitCode.USAGE)


def run_simulator(
    simulator: Simulator,
    accounts: Sequence[SimulatedAccount],
    *,
    host: str,
    port: int,
    change_every: float,
    hosts: Collection[str] = (),
) -> None:
    """Serve until interrupted, and print what arrives.

    Args:
        simulator: The service.
        accounts: Its accounts.
        host: The address to listen at.
        port: The port, or 0 for one that is free.
        change_every: Seconds after which a few prices are others; 0 for never.
        hosts: More host names to accept in requests.

    Raises:
        CliError: The address is none.
        OSError: The address or the port is not to be had.
    """
    try:
        host.encode("idna")
    except UnicodeError:
        raise CliError(f"--host {host!r} is no address", ExitCode.USAGE) from None
    err = notes()
    # What a supervisor or a shell's `kill` sends is as good an end as Ctrl-C.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serve(simulator, host=host, port=port, hosts=hosts) as server:
            try:
                write_text(f"{server.base_url}\n")
            except OSError:
                detach_stdout()  # the service does its work without it
            if not is_loopback(host):
                err.print(
                    f"{host} is open to the network: the passwords come over plain HTTP, and the commands refuse it"
                )
            err.print("in another terminal:")
            err.print(f"  export SMSC_BASE_URL={server.base_url}")
            err.print(f"  export SMSC_LOGIN={accounts[0].login} SMSC_PASSWORD={PASSWORD}")
            err.print("  smsc-async tariffs")
            err.print("Ctrl-C ends it; requests as they arrive:")
            _print_arrivals(simulator, accounts, err, change_every or math.inf)
    except KeyboardInterrupt:
        err.print("ended")
    finally:
        signal.signal(signal.SIGTERM, former)


def _print_arrivals(simulator: Simulator, accounts: Sequence[SimulatedAccount], err: Console, every: float) -> None:
    printed = step = 0
    begun = monotonic()
    while True:
        for arrival in simulator.log:
            if arrival.number > printed:
                printed = arrival.number
                err.print(_line(arrival), soft_wrap=True)
        if monotonic() - begun >= every * (step + 1):
            step += 1
            for account in accounts:
                simulator.put(attrs.evolve(account, tariffs=_changed(account.tariffs, step)))
            err.print(f"{datetime.now():%H:%M:%S}  a few prices have changed")  # noqa: DTZ005  # for eyes, in their own time
        sleep(_LOOK_EVERY)


def _changed(tariffs: Tariffs, step: int) -> Tariffs:
    """Return the list with a few prices of SMS by a tenth higher: others at each step, so that some fall again."""
    zones = tuple(
        attrs.evolve(zone, api=(zone.api * Decimal("1.1")).quantize(zone.api))
        if zone.api is not None and (place - step) % 17 == 0
        else zone
        for place, zone in enumerate(tariffs.zones)
    )
    return attrs.evolve(tariffs, zones=zones)


def _line(arrival: Arrival) -> str:
    answer = f"error {arrival.code}" if arrival.code else "answered"
    # The clock of the log has no date; what arrived has arrived within the last look.
    return f"{datetime.now():%H:%M:%S}  {arrival.login or '?'}  {arrival.path}  {arrival.format.name}  {answer}"  # noqa: DTZ005  # for eyes, in their own time
