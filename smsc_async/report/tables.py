"""The tables as they stand without a script: the newest list of each account, and all of them side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from smsc_async.analysis.compare import Compared, ComparedOperator, compare, marks_of
from smsc_async.analysis.networks import label_of
from smsc_async.records import MESSAGES, Service, Tariffs, Zone
from smsc_async.report.texts import MISSING, escaped, money, time_element
from smsc_async.report.timelines import Timeline

_ABOUT: Final = {
    Service.API: "An SMS sent through the API",
    Service.MASS: "An SMS sent from the personal account",
    Service.MMS: "An MMS message",
    Service.HLR: "An HLR request",
    Service.CALL: "A voice message",
}
LEGEND: Final = (
    '<dl class="legend-line">'
    + "".join(f"<div><dt>{service.value}</dt><dd>{about}</dd></div>" for service, about in _ABOUT.items())
    + "<div><dt>operator</dt><dd>A mobile network by its code (MCC and MNC); its name is a hint</dd></div>"
    + "<div><dt>cost</dt><dd>An individual tariff: an SMS to that network, in place of the zone's price</dd></div></dl>"
)
"""What the columns mean."""

_ABOUT_OPERATORS: Final = (
    '<p class="quiet">Operators: individual tariffs, which are prices of an SMS. An account without one pays the price of '
    "the operator's zone, which the service does not name: no account is marked there.</p>\n"
)


def panels_of(timelines: Iterable[Timeline]) -> str:
    """Return a section for each account with what its newest list holds."""
    return "\n".join(_panel(place, timeline) for place, timeline in enumerate(timelines))


def _panel(place: int, timeline: Timeline) -> str:
    tariffs = timeline.newest.tariffs
    return (
        f'<section class="panel" aria-labelledby="panel-{place}"><h3 id="panel-{place}">'
        f"<bdi>{escaped(timeline.account)}</bdi> <small>{time_element(timeline.newest.taken_at)}</small></h3>\n"
        f'<div class="pair">{_zone_table(tariffs)}{_code_table(tariffs)}</div></section>'
    )


def _zone_table(tariffs: Tariffs) -> str:
    zones = {zone.zone: zone for zone in tariffs.zones}.values()
    heads = "".join(_price_head(each.value, _ABOUT[each]) for each in Service)
    return _table("zones", "Zones", f"{_LINE_HEADS}{heads}", [_zone_row(zone) for zone in zones])


def _zone_row(zone: Zone) -> str:
    return _row(zone.zone, zone.name, [f"<td>{money(getattr(zone, each.value))}" for each in Service])


def _code_table(tariffs: Tariffs) -> str:
    codes = {code.mccmnc: code for code in tariffs.codes}.values()
    rows = [f'<tr><th scope="row">{escaped(label_of(code.mccmnc))}<td>{money(code.cost)}' for code in codes]
    rows.append(f'<tr><th scope="row">e-mail<td>{money(tariffs.mail)}')
    heads = '<th scope="col">operator' + _price_head("cost", "The individual tariff of an operator")
    return _table("codes", "Operators, e-mail", heads, rows)


def comparison_of(timelines: Sequence[Timeline], service: Service) -> str:
    """Return the accounts side by side, with the cheapest of each row marked."""
    if len(timelines) < 2:
        return '<p class="note">One account: there is nothing to compare it with.</p>'
    # Their places, since names may be the same once they are shown.
    lists = {str(place): timeline.newest.tariffs for place, timeline in enumerate(timelines)}
    rows = [_row(each.zone, each.name, _marked(each)) for each in compare(lists, service=service).rows]
    # Of the services alone that they are prices for: the script shows them with those, and hides them with the others.
    codes = [
        _row(MISSING, f"operator {label_of(each.mccmnc)}", _marked(each), hidden=service not in MESSAGES)
        for each in compare(lists).codes
    ]
    heads = "".join(
        f'<th scope="col" data-type="number"><bdi>{escaped(timeline.account)}</bdi>' for timeline in timelines
    )
    table = _table("compared", "Accounts side by side", f"{_LINE_HEADS}{heads}", [*rows, *codes])
    return table + (_ABOUT_OPERATORS if codes else "")


def _marked(row: Compared | ComparedOperator) -> list[str]:
    shown = ((money(price), is_best) for price, is_best in zip(row.prices, marks_of(row), strict=True))
    return [
        f'<td class="best">{price}<span> cheapest</span>' if is_best else f"<td>{price}" for price, is_best in shown
    ]


_LINE_HEADS: Final = '<th scope="col" data-type="number">zone<th scope="col">name'


def _price_head(name: str, about: str) -> str:
    return f'<th scope="col" data-type="number" title="{about}">{name}'


def _row(key: str, name: str, cells: Iterable[str], *, hidden: bool = False) -> str:
    # HTML closes cells and rows by itself: a third of the bytes of a large table.
    return f'<tr{" hidden" if hidden else ""}><td>{escaped(key)}<th scope="row">{escaped(name)}{"".join(cells)}'


def _table(kind: str, caption: str, heads: str, rows: Sequence[str]) -> str:
    body = "\n".join(rows)
    return (
        f'<table class="{kind}"><caption>{caption}</caption><thead><tr>{heads}</thead>\n'
        f"<tbody>\n{body}</tbody></table>\n"
    )
