"""The page as a whole: the template, filled in, with its style and its script inside. Pure.

Invariant: the page sends no request. Its policy lets nothing be loaded, and runs what it was made with, known
by its hash, and nothing else.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from importlib.resources import files
from string import Template
from typing import Final

from smsc_async.analysis.snapshots import Snapshot, checked_instant
from smsc_async.records import Service
from smsc_async.report.embedding import document_of
from smsc_async.report.summary import cards_of, extent_of
from smsc_async.report.tables import LEGEND, comparison_of, panels_of
from smsc_async.report.texts import embedded, escaped, time_element
from smsc_async.report.timelines import timelines_of

# Before anything is drawn: what needs the script is shown, and of the accounts the first.
_EARLY: Final = 'document.documentElement.classList.add("js");'


def render_report(
    snapshots: Iterable[Snapshot],
    *,
    title: str = "Tariffs",
    service: Service | str = Service.API,
    since: datetime | None = None,
    generated_at: datetime | None = None,
) -> str:
    """Return a page that shows lists of any accounts at any instants: one HTML file that needs no network.

    The newest list of each account makes the tables and the comparison; the lists before it make the changes and the
    price charts. The page can be searched and sorted, also with the keyboard alone, is light or dark as the reader has
    set, and prints. Write it as UTF-8. It contains the prices of every given list: consider its readers.

    Args:
        snapshots: The lists, in any order; the accounts are shown in the order in which they first come. Of two lists
            of one account and one instant the later given counts.
        title: What the page is called.
        service: Whose prices the comparison and the charts show first, as ``Service`` or as its value.
        since: The summary compares each newest list with the one of this instant, or ``None`` for the first list.
        generated_at: When the page is made, with its time zone, or ``None`` to leave that out.

    Returns:
        The page. Without lists it says that there are none.

    Raises:
        ValueError: No such service, or an instant has no time zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> from smsc_async import Snapshot, decode, render_report
        >>> old = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.1"}')
        >>> new = decode(b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.75"}], "mail": "0.1"}')
        >>> days = [datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)]
        >>> page = render_report([Snapshot("alex", days[0], old), Snapshot("alex", days[1], new)])
        >>> page.startswith("<!doctype html>"), "1 dearer" in page
        (True, True)
    """
    service = Service(service)
    for name, instant in (("since", since), ("generated_at", generated_at)):
        if instant is not None:
            checked_instant(name, instant)
    timelines = timelines_of(snapshots)
    # One script, in the order in which its parts build on each other.
    style, script = _read("report.css"), "\n".join(map(_read, ("data.js", "table_view.js", "chart.js", "report.js")))
    return Template(_read("template.html")).substitute(
        policy=_policy(style, script),
        title=escaped(title),
        style=style,
        early=_EARLY,
        extent=extent_of(timelines),
        generated="" if generated_at is None else f" Made {time_element(generated_at)}.",
        cards=cards_of(timelines, since),
        legend=LEGEND,
        panels=panels_of(timelines),
        comparison=comparison_of(timelines, service),
        service=service.value,
        data=embedded(document_of(timelines, service)),
        script=script,
    )


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hashed(style)}; script-src {_hashed(_EARLY)} {_hashed(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _read(name: str) -> str:
    return files("smsc_async.report").joinpath(name).read_text("utf-8")
