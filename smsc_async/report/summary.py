"""What a reader wants to know first: how many lists of whom, and what got dearer or cheaper. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from smsc_async.analysis.diff import Change, ChangeKind, diff
from smsc_async.analysis.networks import label_of
from smsc_async.analysis.snapshots import Snapshot
from smsc_async.report.texts import escaped, money, time_element
from smsc_async.report.timelines import Timeline

_SIGNS: Final = {
    ChangeKind.DEARER: "▲",
    ChangeKind.CHEAPER: "▼",
    ChangeKind.ADDED: "+",
    ChangeKind.REMOVED: "−",  # noqa: RUF001  # as wide as the plus
    ChangeKind.RENAMED: "≈",
    ChangeKind.PRICED: "●",
    ChangeKind.UNPRICED: "○",
}
_MOVERS: Final = 3


def extent_of(timelines: Sequence[Timeline]) -> str:
    """Return in a line how much the page shows, and from when."""
    instants = sorted(snapshot.taken_at for timeline in timelines for snapshot in timeline.snapshots)
    if not instants:
        return "No lists."
    # Each on its own: Python's grammar of plurals is ours to know.
    counts = f"{_counted(len(timelines), 'account')}, {_counted(len(instants), 'list')}"
    if instants[0] == instants[-1]:
        return f"{counts}, {time_element(instants[0])}"
    return f"{counts}, {time_element(instants[0])} to {time_element(instants[-1])}"


def cards_of(timelines: Iterable[Timeline], since: datetime | None) -> str:
    """Return a card for each account, compared with the last list that differs, and with the one of an instant."""
    return "\n".join(_card(timeline, since) for timeline in timelines)


def _card(timeline: Timeline, since: datetime | None) -> str:
    tariffs = timeline.newest.tariffs
    facts = f"{_counted(len(tariffs.zones), 'zone')}, {_counted(len(tariffs.codes), 'operator')}"
    return (
        f'<article class="card"><h3><bdi>{escaped(timeline.account)}</bdi></h3>'
        f"<p>{facts}, e-mail {money(tariffs.mail)}</p>{_changes(timeline.snapshots, since)}</article>"
    )


def _changes(snapshots: Sequence[Snapshot], since: datetime | None) -> str:
    first, newest = snapshots[0], snapshots[-1]
    if len(snapshots) == 1:
        return '<p class="quiet">One list: nothing to compare it with yet.</p>'
    # A list that is fetched for the report is often the one before it: the last change is what a reader wants to know.
    before = next((each for each in reversed(snapshots) if diff(each.tariffs, newest.tariffs)), first)
    lately = diff(before.tariffs, newest.tariffs)
    parts = [_since("the last list that differs" if lately else "the first list", before, lately), _movers(lately)]
    base = first if since is None else next((each for each in reversed(snapshots) if each.taken_at <= since), first)
    if base is not before:
        what = "the first list" if since is None or base is first else f"the list in force at {time_element(since)}"
        parts.append(_since(what, base, diff(base.tariffs, newest.tariffs)))
    return "".join(parts)


def _since(what: str, old: Snapshot, changes: Iterable[Change]) -> str:
    counts = Counter(change.kind for change in changes)
    kinds = " ".join(
        f'<span class="kind {kind.value}">{_SIGNS[kind]} {counts[kind]} {kind.value}</span>'
        for kind in _SIGNS
        if counts[kind]
    )
    return f'<p class="since">Since {what}, {time_element(old.taken_at)}: {kinds or "no changes"}</p>'


def _movers(changes: Iterable[Change]) -> str:
    """The prices that rose and fell most, in percent."""
    moved = sorted(((each.percent, each) for each in changes if each.percent), key=lambda pair: pair[0])
    risen = [each for percent, each in reversed(moved) if percent > 0][:_MOVERS]
    fallen = [each for percent, each in moved if percent < 0][:_MOVERS]
    items = "\n".join(map(_mover, [*risen, *fallen]))
    return f'<ul class="movers">{items}</ul>' if items else ""


def _mover(change: Change) -> str:
    names = {"zone": change.name.strip() or f"zone {change.id}", "operator": f"operator {label_of(change.id)}"}
    line = names.get(change.line, "e-mail")
    price = f" {change.price}" if change.line == "zone" else ""
    percent = f"{change.percent:+}".replace("-", _SIGNS[ChangeKind.REMOVED])
    return (
        f"<li><span><bdi>{escaped(line)}</bdi>{price} "
        f'<span class="prices">{money(change.old)} → {money(change.new)}</span></span> '
        f'<span class="kind {change.kind.value}">{_SIGNS[change.kind]} {percent} %</span></li>'
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
