"""What the names of the package import, each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from typing import get_type_hints

import pytest

import smsc_async
from smsc_async import Client


def _imported(code: str) -> set[str]:
    # httpx imports these for its command if they are installed.
    first = "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments')))\n"
    command = [sys.executable, "-c", f"{first}{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split())


def test_decode_imports_neither_the_http_library_nor_an_event_loop() -> None:
    assert _imported("from smsc_async import decode").isdisjoint({"httpx", "anyio", "asyncio", "smsc_async.client"})


@pytest.mark.parametrize(
    ("reply", "module"),
    [
        (b"zone = 1, name = Russia, api = 2.50\nmail = 0.10\n", "plain_format"),
        (b'{"zones": [{"zone": "1", "name": "Russia", "api": "2.50"}], "mail": "0.10"}', "json_format"),
    ],
)
def test_decode_imports_the_format_of_the_reply_alone(reply: bytes, module: str) -> None:
    imported = _imported(f"from smsc_async import decode; decode({reply!r})")
    formats = {name for name in imported if name.startswith("smsc_async.decoder.") and name.endswith("_format")}
    assert formats == {f"smsc_async.decoder.{module}"}
    assert "xml.etree.ElementTree" not in imported


def test_a_client_imports_only_what_every_call_needs() -> None:
    imported = _imported("from smsc_async import Client")
    unneeded = {
        "opentelemetry",
        "redis",
        "anyio.lowlevel",
        "html",
        "smsc_async.fetch.bulk",
        "smsc_async.history",
        "smsc_async.report",
        "smsc_async.simulator",
        "smsc_async.stores.sealed_reply",
        "sqlite3",
        "trio",
        "xml.etree.ElementTree",
    }
    assert imported.isdisjoint(unneeded)


def test_every_public_name_can_be_imported() -> None:
    for name in smsc_async.__all__:
        assert getattr(smsc_async, name).__name__ == name


def test_a_framework_can_read_the_annotations_of_the_client() -> None:
    # Dependency injection evaluates them.
    hints = get_type_hints(Client.__init__)
    assert {"account", "store", "transport", "on_event"} <= hints.keys()
