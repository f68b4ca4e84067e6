"""What the page's script is given: every price at every instant, and every change, in few bytes. Pure.

A price that stays costs its digits once, whatever the number of lists: 300 zones, 3 accounts and 30 lists in which
every price is another are a page of 1.3 MB, and a usual month a tenth of that. ``data.js`` reads it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, groupby
from typing import Final

from smsc_async.analysis.diff import Change, ChangeKind
from smsc_async.analysis.networks import label_of
from smsc_async.display import escape_for_display as shown
from smsc_async.records import MESSAGES, OperatorTariff, Service, Zone
from smsc_async.report.texts import money
from smsc_async.report.timelines import Timeline

# Added, removed, renamed, dearer, cheaper, priced, unpriced.
_LETTERS: Final = dict(zip(ChangeKind, "arndcpu", strict=True))
_PLACES: Final = {service.value: place for place, service in enumerate(Service)}
_NO_PRICE: Final = "-"


def document_of(timelines: Iterable[Timeline], service: Service) -> dict[str, object]:
    """Return the document: the accounts in their order, and the service that is shown first.

    ``messages`` are the places of the services that the individual tariffs of operators are prices for.
    """
    return {
        "services": [each.value for each in Service],
        "messages": [place for place, each in enumerate(Service) if each in MESSAGES],
        "service": service.value,
        "accounts": [_account(timeline) for timeline in timelines],
    }


def _account(timeline: Timeline) -> dict[str, object]:
    lists = [snapshot.tariffs for snapshot in timeline.snapshots]
    zones = [{zone.zone: zone for zone in tariffs.zones} for tariffs in lists]
    codes = [{code.mccmnc: code for code in tariffs.codes} for tariffs in lists]
    zone_ids, code_ids = _ids(zones), _ids(codes)
    lines = [*(("zone", each) for each in zone_ids), *(("operator", each) for each in code_ids), ("mail", "")]
    places = {line: place for place, line in enumerate(lines)}
    return {
        "name": shown(timeline.account),
        "taken": [_seconds(snapshot.taken_at) for snapshot in timeline.snapshots],
        "zones": [_zone(each, zones) for each in zone_ids],
        "codes": [[shown(each), _prices(each, codes, "cost"), *_network(each)] for each in code_ids],
        "mail": folded([money(tariffs.mail, _NO_PRICE) for tariffs in lists]),
        "changes": [_step(step, places) for step in timeline.steps()],
    }


def _seconds(instant: datetime) -> float:
    """An instant to the microsecond, in few digits: two lists within a second stay two."""
    seconds = instant.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _network(mccmnc: str) -> list[str]:
    name = label_of(mccmnc).removeprefix(mccmnc).strip()
    return [shown(name)] if name else []


def _ids(lists: Sequence[Mapping[str, object]]) -> list[str]:
    """The lines of the newest list in its order, as the tables have them; then what earlier ones had."""
    return list(dict.fromkeys(chain.from_iterable(reversed(lists))))


def _zone(zone: str, lists: Sequence[Mapping[str, Zone]]) -> list[object]:
    names = folded_names([shown(each[zone].name) if zone in each else None for each in lists])
    return [shown(zone), names, *(_prices(zone, lists, service.value) for service in Service)]


def _prices(line: str, lists: Sequence[Mapping[str, Zone | OperatorTariff]], name: str) -> str:
    return folded([money(getattr(each.get(line), name, None), _NO_PRICE) for each in lists])


def folded(values: Sequence[str]) -> str:
    """Return what a price was in each list as one text: its digits, then each change with the list that it came with.

    The list is left out where it is the one after the change before: ``"3.85 4.10 7:3.99"`` is 3.85 in list 0, 4.10 in
    lists 1 to 6, and 3.99 from list 7 on.
    """
    words: list[str] = []
    written = -1
    for place, value in enumerate(values):
        if not place or value != values[place - 1]:
            words.append(value if place == written + 1 else f"{place}:{value}")
            written = place
    return " ".join(words)


def folded_names(names: Sequence[str | None]) -> object:
    """Return a name that never changed, or the lists and the names that came with them; a gap does not end a name."""
    flat: list[object] = []
    last = None
    for place, name in enumerate(names):
        if name is not None and name != last:
            flat += [place, name]
            last = name
    return last if len(flat) <= 2 else flat


def _step(changes: Iterable[Change], places: Mapping[tuple[str, str], int]) -> str:
    """Each line that changed by its place, followed by a letter for each change and the place of the price."""
    grouped = groupby(changes, key=lambda change: (change.line, change.id))
    return " ".join(f"{places[line]}{''.join(map(_letter, group))}" for line, group in grouped)


def _letter(change: Change) -> str:
    place = _PLACES.get(change.price, 0) if change.price else ""
    return f"{_LETTERS[change.kind]}{place}"
