"""The demonstration: the client and a simulated service over a real socket, and what the service saw.

Everything that is judged here is judged by the log of the service, not by what the client says of itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
from rich.console import Console

from smsc_async import simulator as simulated  # imports its modules on first use
from smsc_async.accounts import Account
from smsc_async.cli import options as o
from smsc_async.cli.cli_error import CliError, ExitCode
from smsc_async.cli.console import notes, output, progress
from smsc_async.cli.tables import Cell, Column, Table, operator_table, show, totals, zone_table
from smsc_async.records import Format, Tariffs
from smsc_async.simulator import Arrival, Rules, SimulatedAccount, Simulator, sample_tariffs

if TYPE_CHECKING:
    from smsc_async.client import Client

BURST: Final = 10
# The window of the demonstration in place of the service's minute, in seconds. All else is as with the real service.
PER: Final = 1.0

# The burst has a login of its own: its quota is untouched, so that the picture begins with a full one.
_READER: Final = Account("alex", "123")
_BURSTER: Final = Account("boris", "456")

_FORMATS: Final = {
    Format.PLAIN: "plain text",
    Format.CSV: "comma-separated",
    Format.XML: "XML",
    Format.JSON: "JSON",
}
# Names with commas, quotes, brackets, equals signs; prices that are missing; Cyrillic and Latin letters.
_SHOWN: Final = ("1", "3", "7", "8", "13", "19", "22", "33", "47", "53", "62", "65")

_TIME_LINE: Final = 40


def new_simulator(per: float = PER) -> Simulator:
    """Return the service of the demonstration, with two accounts and a shortened window."""
    accounts = [
        SimulatedAccount(_READER.login, _READER.secret.reveal()),
        SimulatedAccount(_BURSTER.login, _BURSTER.secret.reveal(), tariffs=sample_tariffs(Decimal("0.9"))),
    ]
    return Simulator(accounts, rules=Rules(per=per))


@o.command("demo", "demo")
def demo() -> None:
    """See it work: a simulated service, four formats over a real socket, and the quota.

    Needs no account and no network. Takes about six seconds.
    """
    log = anyio.run(_show, new_simulator(), output(), notes())
    refused = sum(arrival.code != 0 for arrival in log)
    if refused:
        raise CliError(f"the service refused {refused} of {len(log)} requests", ExitCode.DIFFERENT)


async def _show(simulator: Simulator, out: Console, err: Console) -> list[Arrival]:
    from smsc_async.client import Client
    from smsc_async.limiter.quota import Quota
    from smsc_async.stores import MemoryStore

    # One store for all clients, as in a process that names none: the quota is one, however many clients there are.
    store = MemoryStore()
    per = simulator.rules.per
    quota = Quota(per=per, guard=per / 10, linger=per / 5)
    begun = time.monotonic()
    async with simulated.serve(simulator) as server:
        err.print(f"a simulated service listens at {server.base_url}")

        def client(account: Account, reply_format: Format) -> Client:
            return Client(account, base_url=server.base_url, reply_format=reply_format, quota=quota, store=store)

        lists = await _fetch_in_all_formats(client, err)
        _print_formats(lists, out)
        if any(tariffs != sample_tariffs() for tariffs in lists.values()):
            raise CliError("the four lists are not equal: what the service holds was not read back", ExitCode.DIFFERENT)
        _print_tariffs(lists[Format.JSON], out)
        await _burst(client, err)
    _print_burst(simulator.arrivals(_BURSTER.login), simulator.rules, out)
    err.print(f"done in {time.monotonic() - begun:.1f} s")
    return simulator.log


_NewClient: TypeAlias = "Callable[[Account, Format], Client]"


async def _fetch_in_all_formats(new_client: _NewClient, err: Console) -> dict[Format, Tariffs]:
    lists: dict[Format, Tariffs] = {}
    with progress(err, "four formats", len(_FORMATS)) as advance:
        for reply_format in _FORMATS:
            async with new_client(_READER, reply_format) as client:
                lists[reply_format] = await client.tariffs(max_age=0)
            advance()
    return lists


async def _burst(new_client: _NewClient, err: Console) -> None:
    # One after the other, as fast as the quota lets them: calls at the same time would share one request.
    with progress(err, "ten fresh requests", BURST) as advance:
        async with new_client(_BURSTER, Format.JSON) as client:
            for _ in range(BURST):
                await client.tariffs(max_age=0)
                advance()


def _print_formats(lists: Mapping[Format, Tariffs], out: Console) -> None:
    right = (Column(name, is_right=True) for name in ("zones", "operators"))
    columns = [Column("fmt", is_right=True), Column("format"), *right, Column("equal to what the service holds")]
    table = Table(columns, title="One list in four formats")
    served = sample_tariffs()
    for reply_format, tariffs in lists.items():
        counts = (str(len(tariffs.zones)), str(len(tariffs.codes)))
        equal = ("yes", "green") if tariffs == served else ("NO", "bold red")
        table.rows.append((str(reply_format.value), _FORMATS[reply_format], *counts, equal))
    show(out, table)
    out.print()


def _print_tariffs(tariffs: Tariffs, out: Console) -> None:
    shown = [zone for zone in tariffs.zones if zone.zone in _SHOWN]
    show(out, zone_table(shown, out, title="From the list of alex: what one message costs"))
    out.print()
    out.print(f"and {len(tariffs.zones) - len(shown)} more zones. Operators with a price of their own:")
    out.print()
    show(out, operator_table(tariffs.codes, out))
    out.print()
    out.print(totals(tariffs, out))
    out.print()


def _print_burst(arrivals: Sequence[Arrival], rules: Rules, out: Console) -> None:
    title = f"When ten fresh requests arrived at the service: at most {rules.requests} in any {rules.per:g} s"
    # The rule: more than a window lies between a request and the one that is three before it.
    right = (Column(name, is_right=True) for name in ("#", "after", f"since {rules.requests} before"))
    table = Table([*right, Column("answer"), Column()], title=title)
    begun, span = arrivals[0].at, max(arrivals[-1].at - arrivals[0].at, rules.per)
    for place, arrival in enumerate(arrivals):
        after = arrival.at - begun
        since = f"{arrival.at - arrivals[place - rules.requests].at:.2f} s" if place >= rules.requests else ""
        answer = (f"error {arrival.code}", "bold red") if arrival.code else ("list", "green")
        table.rows.append((str(place + 1), f"{after:.2f} s", since, answer, _on_time_line(after / span, out)))
    show(out, table)
    out.print()
    refused = sum(arrival.code != 0 for arrival in arrivals)
    out.print(
        f"{len(arrivals)} requests, never more than {_peak(arrivals, rules.per)} in {rules.per:g} s; refused: {refused}"
    )


def _on_time_line(share: float, out: Console) -> Cell:
    before, mark = (".", "*") if out.options.ascii_only else ("·", "●")
    return before * round(share * _TIME_LINE) + mark, "green"


def _peak(arrivals: Sequence[Arrival], per: float) -> int:
    return max(sum(0 <= last.at - each.at < per for each in arrivals) for last in arrivals)
