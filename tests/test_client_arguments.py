"""Arguments of a wrong type are refused by name, before anything else happens."""

from __future__ import annotations

from typing import Any

import pytest

from smsc_async import Client


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quota": 3}, r"quota must be a Quota, such as Quota\(requests=3\), not int"),
        ({"retries": "2"}, "retries must be a whole number, not str"),
        ({"retries": True}, "retries must be a whole number, not bool"),
        ({"on_event": 1}, "on_event must be a function of one event, not int"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Client(**wrong)
