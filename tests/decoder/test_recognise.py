"""A format is told by its first line."""

import pytest

from smsc_async import Format
from smsc_async.decoder.recognise import recognise


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("zone = 1, name = Russia", Format.PLAIN),
        ("\n\n  zone=1,name=x", Format.PLAIN),
        ("currency = RUB\nzone = 1", Format.PLAIN),
        ("mail = 0.10", Format.PLAIN),
        ("ERROR = 2 (authorise error)", Format.PLAIN),
        ("ERR", Format.PLAIN),
        ("z", Format.PLAIN),
        ("zone ", Format.PLAIN),
        ("1,Russia,2.50,2.40,8.00,0.30,1.20", Format.CSV),
        ("25001,1.85", Format.CSV),
        ("A 1,Russia,2.50,2.40,8.00,0.30,1.20", Format.CSV),
        ("0,-2", Format.CSV),
        ("0 , -2", Format.CSV),
        ("12", Format.CSV),
        ("0.10", Format.CSV),
        ("зона,", Format.CSV),
        ("<price>", Format.XML),
        ('\n<?xml version="1.0"?>', Format.XML),
        ("<!DOCTYPE price [", Format.XML),
        ("<htmlish/>", Format.XML),
        ("{", Format.JSON),
        ("[1]", Format.JSON),
        ("<!DOCTYPE html>", None),
        ("<!doctype  HTML PUBLIC", None),
        ("<HTML lang=en>", None),
        ("<head>", None),
        ("<body>", None),
        ("SSH-2.0-OpenSSH_8.9p1", None),
        ("Bad Gateway", None),
        ("zonefile", None),
        ("a,b" * 3, Format.CSV),
        ("The list, as it was, is gone", None),
        ("123456789012345678901", None),
        ("\0", None),
        ("= 1", None),
    ],
)
def test_a_text_is_recognised_by_its_beginning(text: str, form: Format | None) -> None:
    assert recognise(text) is form
