"""Lists to make reports of, and a reader of what a report holds that knows nothing of how it is written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, cast

from smsc_async import Snapshot, Tariffs, Zone
from smsc_async.simulator import make_tariffs

__all__ = ["DAY", "HOSTILE", "Read", "data_of", "days_of", "large", "listed", "unfolded"]

DAY = datetime(2026, 11, 1, tzinfo=UTC)

# What breaks out of a script, an attribute, an element or a line, and what turns letters round.
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "\"><img src=x onerror='alert(1)'>",
    "${title} $data {{x}} %s",
    "\u2028 and \u2029",
    "\u202eright to left\u202c \u05d0",
    "&lt;b&gt; &amp;",
    "Côte d'Ivoire",
    "",
    " ",
)


def listed(*names: str, api: str | None = "2.50") -> Tariffs:
    """A list with a zone of each name, numbered from 1."""
    price = None if api is None else Decimal(api)
    return Tariffs(tuple(Zone(str(number), name, api=price) for number, name in enumerate(names, 1)))


def days_of(account: str, *lists: Tariffs) -> list[Snapshot]:
    """A list a day."""
    return [Snapshot(account, DAY + timedelta(days=day), tariffs) for day, tariffs in enumerate(lists)]


def large(days: int = 30) -> list[Snapshot]:
    """300 zones, 3 accounts, a list for each day; the worst there is: every price is another in every list."""
    return [
        snapshot
        for number, account in enumerate(("alex", "boris", "clara"))
        for snapshot in days_of(account, *(make_tariffs(300, 20, seed=100 * number + day) for day in range(days)))
    ]


class Read(HTMLParser):
    """A page as a reader of HTML takes it: its rows as texts, its scripts, and the tags that it has."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.policy = ""
        self.text = ""
        self._inside = ""
        self._in_cell = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._inside = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            self._in_cell = True
        elif tag == "script":
            self.scripts.append("")
        elif ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self._in_cell = self._in_cell and tag not in {"tbody", "thead"}

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data
            if self._in_cell:
                self.rows[-1][-1] += data.rstrip("\n")


def data_of(page: str) -> dict[str, Any]:
    """The data of a page, found as a browser finds it: up to the first end tag."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script', page, re.DOTALL | re.IGNORECASE)
    assert found
    return cast("dict[str, Any]", json.loads(found[1]))


def unfolded(text: str, count: int) -> list[str | None]:
    """A price in each of so many lists."""
    written: dict[int, str | None] = {}
    place = -1
    for word in text.split(" "):
        at, _, value = word.rpartition(":")
        place = int(at) if at else place + 1
        written[place] = None if value == "-" else value
    values: list[str | None] = []
    for each in range(count):
        values.append(written[each] if each in written else values[-1])
    return values
