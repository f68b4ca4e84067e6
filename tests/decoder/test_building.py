"""Records made by the column are the records that their constructors make."""

import copy
import pickle
from decimal import Decimal
from itertools import repeat

import attrs
import pytest

from smsc_async import OperatorTariff, Zone
from smsc_async.decoder.building import build_operators, build_zones
from smsc_async.records import NO_EXTRA

ONE = Decimal("1.50")


def test_a_built_zone_is_a_zone_like_any_other() -> None:
    built = build_zones(
        ["1", "2"], ["a", "b"], [ONE] * 2, [ONE] * 2, [None] * 2, [ONE] * 2, [ONE] * 2, repeat(NO_EXTRA, 2)
    )
    made = tuple(Zone(zone, name, ONE, ONE, None, ONE, ONE) for zone, name in [("1", "a"), ("2", "b")])
    assert built == made
    assert list(map(hash, built)) == list(map(hash, made))
    assert list(map(repr, built)) == list(map(repr, made))
    assert pickle.loads(pickle.dumps(built)) == made
    assert copy.deepcopy(built) == made
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        built[0].name = "c"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # the point


def test_no_rows_are_no_records() -> None:
    assert build_operators([], [], []) == ()


def test_a_value_for_every_field_is_asked_for() -> None:
    with pytest.raises(ValueError, match="not enough"):
        build_operators(["25001"], [ONE])
    with pytest.raises(ValueError, match="shorter"):
        build_operators(["25001", "25002"], [ONE], [NO_EXTRA] * 2)


@pytest.mark.parametrize("record", [Zone, OperatorTariff])
def test_the_records_have_nothing_that_building_would_leave_out(record: type[Zone | OperatorTariff]) -> None:
    assert not hasattr(record, "__attrs_post_init__")
    assert not hasattr(record, "__attrs_pre_init__")
    for field in attrs.fields(record):
        assert (field.converter, field.validator) == (None, None)
