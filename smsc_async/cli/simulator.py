"""``simulator``: the simulated service for others to point at."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from time import monotonic, sleep
from typing import Annotated, Final

import attrs
import typer
from rich.console import Console

from smsc_async import simulator as simulated  # imports its modules on first use
from smsc_async.arguments import checked_seconds
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode, checked
from smsc_async.cli.console import notes
from smsc_async.cli.durations import parse_duration
from smsc_async.cli.exit import detach_stdout, end_once
from smsc_async.cli.formats import write_text
from smsc_async.protocol import is_loopback
from smsc_async.records import Tariffs
from smsc_async.simulator import Arrival, Rules, SimulatedAccount, Simulator, sample_tariffs

_PASSWORD: Final = "123"  # noqa: S105  # of accounts that do not exist

_LOOK_EVERY: Final = 0.1


@o.command("simulator", "simulator", "simulator --login alex --login boris --change-every 30s")
def simulator(
    *,
    host: Annotated[str, typer.Option(metavar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT")] = 8025,
    login: Annotated[list[str] | None, typer.Option(metavar="LOGIN")] = None,
    api_key: Annotated[list[str] | None, typer.Option(metavar="LOGIN=KEY")] = None,
    md5: Annotated[bool, typer.Option("--md5")] = False,
    accept_host: Annotated[list[str] | None, typer.Option()] = None,
    window: Annotated[float, typer.Option(metavar="SECONDS")] = 60.0,
    latency: Annotated[float, typer.Option(metavar="SECONDS")] = 0.0,
    change_every: Annotated[str | None, typer.Option(metavar="DURATION")] = None,
) -> None:
    """Run a simulated service to point clients at, until Ctrl-C.

    Options:
        host: The address to listen at; passwords come over plain HTTP.
        port: The port; 0 for one that is free.
        login: A login, its password 123; repeat for more. Without any: alex.
        api_key: An API key of a login; repeat for more.
        md5: Accept the MD5 of a password too, as for old accounts.
        accept_host: A further host name of this server, such as that of its container.
        window: Seconds in which three identical requests of a login are answered.
        latency: Seconds until it answers.
        change_every: Change a few prices every so often, such as 30s: something to watch.
    """
    every = math.inf if change_every is None else parse_duration(change_every)
    try:
        host.encode("idna")
    except UnicodeError:
        raise CliError(f"--host {host!r} is no address") from None
    accounts = checked(ExitCode.USAGE, _new_accounts, login or ["alex"], api_key or (), accepts_md5=md5)
    rules = Rules(per=checked(ExitCode.USAGE, checked_seconds, "window", window))
    service = checked(ExitCode.USAGE, Simulator, accounts, rules=rules, latency=latency)
    err = notes()
    # What a supervisor or a shell's `kill` sends is as good an end as Ctrl-C.
    former = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    end_once(signal.default_int_handler)
    try:
        with simulated.serve(service, host=host, port=port, hosts=accept_host or ()) as server:
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
            err.print(f"  export SMSC_LOGIN={accounts[0].login} SMSC_PASSWORD={_PASSWORD}")
            err.print("  smsc-async tariffs")
            err.print("Ctrl-C ends it; requests as they arrive:")
            _print_arrivals(service, accounts, err, every)
    except KeyboardInterrupt:
        err.print("ended")
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _new_accounts(logins: Sequence[str], api_keys: Sequence[str], *, accepts_md5: bool) -> list[SimulatedAccount]:
    """Return an account for each login, each a tenth dearer than the one before."""
    keys: dict[str, str] = {}
    for pair in api_keys:
        login, _, key = pair.partition("=")
        if login not in logins or not key:
            raise CliError(f"--api-key needs a login of --login and a key, such as {logins[0]}=KEY")
        keys[login] = key
    return [
        SimulatedAccount(
            login,
            _PASSWORD,
            tariffs=sample_tariffs(1 + Decimal(place) / 10),
            api_key=keys.get(login),
            accepts_md5=accepts_md5,
        )
        for place, login in enumerate(logins)
    ]


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
