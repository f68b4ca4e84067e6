from __future__ import annotations

import copy
import csv
import io
import json
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smsc_async
from smsc_async import (
    Account,
    CallEnded,
    Change,
    ChangeKind,
    Compared,
    ComparedOperator,
    Comparison,
    Extra,
    Format,
    Lockout,
    OperatorTariff,
    Outcome,
    Period,
    Price,
    PricePoint,
    Quota,
    QuotaState,
    RequestEnded,
    Service,
    Snapshot,
    Statistics,
    Tariffs,
    Update,
    Zone,
    decode,
)

T = TypeVar("T")

RUSSIA = Zone("1", "Russia", Decimal("2.50"), Decimal("2.40"), Decimal(7), Decimal("0.30"), Decimal("1.5"))
NOWHERE = Zone("2", "Nowhere", extra=Extra({"vat": "20"}))
MTS = OperatorTariff("25001", Decimal("1.85"), Extra({"note": "new"}))
UNPRICED = OperatorTariff("25002")
TARIFFS = Tariffs((RUSSIA, NOWHERE), (MTS, UNPRICED), Decimal("0.10"), Extra({"currency": "RUR"}))

COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda each, protocol=protocol: pickle.loads(pickle.dumps(each, protocol)) for protocol in range(2, 6)),
]
RECORDS = [RUSSIA, NOWHERE, MTS, UNPRICED, TARIFFS, Tariffs(()), Price(Decimal(1), MTS, Service.API), Extra({"a": "b"})]
NOW = datetime(2024, 1, 2, tzinfo=UTC)
# What the library returns beside prices. An account and an outcome are not copied with their credentials.
RESULTS = [
    CallEnded("alex", "fetched", 0.5),
    Change(ChangeKind.ADDED, "zone", "1"),
    Comparison(("a",), Service.API, (Compared("1", "Russia", (None,)),), (ComparedOperator("25001", (None,)),)),
    Lockout("address", "smsc", None, 1800.0),
    Period("alex", NOW, NOW, 1, TARIFFS),
    PricePoint(NOW, NOW, Decimal(1)),
    Quota(requests=1),
    QuotaState(1, 0.0, 0),
    RequestEnded("alex", 1, True, 0.0),
    Snapshot("alex", NOW, TARIFFS),
    Statistics(calls=2, refusals={2: 1}),
    Update("alex"),
]


def test_no_record_is_missing_here() -> None:
    public = [getattr(smsc_async, name) for name in smsc_async.__all__]
    records = {
        each for each in public if isinstance(each, type) and attrs.has(each) and not issubclass(each, Exception)
    }
    tested = {type(each) for each in (*RECORDS, *RESULTS)} | {Compared, ComparedOperator}
    assert records - tested == {Account, Outcome}


@pytest.mark.parametrize("record", [*RECORDS, *RESULTS], ids=lambda record: type(record).__name__)
def test_a_copy_is_equal_and_hashes_alike(record: object) -> None:
    for make_copy in COPIES:
        twin = make_copy(record)
        assert type(twin) is type(record)
        assert twin == record
        assert hash(twin) == hash(record)
        assert repr(twin) == repr(record)


@pytest.mark.parametrize("make_copy", COPIES)
def test_a_copy_of_a_list_that_was_searched_keeps_its_lookups_and_its_margin(
    make_copy: Callable[[Tariffs], Tariffs],
) -> None:
    fetched_at = datetime(2024, 1, 2, tzinfo=UTC)
    tariffs = attrs.evolve(TARIFFS, fetched_at=fetched_at, stale=True, error=LookupError("gone"))
    tariffs.zone("1")
    twin = make_copy(tariffs)
    assert twin.zone("2") == NOWHERE
    assert twin.operator("25001") == MTS
    assert (twin.fetched_at, twin.stale, repr(twin.error)) == (fetched_at, True, "LookupError('gone')")


@pytest.mark.parametrize("record", [each for each in RECORDS if not isinstance(each, Extra)])
def test_a_record_is_frozen_and_slotted(record: object) -> None:
    for name in ("zone", "cost", "mail", "unheard_of"):
        with pytest.raises(AttributeError):
            setattr(record, name, "new")
    assert not hasattr(record, "__dict__")


def test_statistics_do_not_follow_the_mapping_that_they_were_made_from() -> None:
    refusals = {2: 1}
    statistics = Statistics(refusals=refusals)
    refusals[2] = 7
    assert statistics.refusals == {2: 1}
    assert not hasattr(statistics.refusals, "__setitem__")


def test_the_digits_of_a_price_survive_as_they_were_sent() -> None:
    twin = pickle.loads(pickle.dumps(TARIFFS))
    assert str(twin.zone("1").api) == "2.50"
    assert str(copy.deepcopy(TARIFFS).mail) == "0.10"


def test_lists_are_equal_by_their_prices_alone() -> None:
    margin = attrs.evolve(TARIFFS, fetched_at=datetime(2024, 1, 2, tzinfo=UTC), stale=True, error=LookupError())
    margin.zone("1")
    margin.operator("25001")
    assert margin == TARIFFS
    assert hash(margin) == hash(TARIFFS)


@pytest.mark.parametrize(
    "changed",
    [
        attrs.evolve(TARIFFS, zones=(NOWHERE, RUSSIA)),
        attrs.evolve(TARIFFS, codes=()),
        attrs.evolve(TARIFFS, mail=None),
        attrs.evolve(TARIFFS, extra=Extra()),
        attrs.evolve(TARIFFS, zones=(attrs.evolve(RUSSIA, call=None), NOWHERE)),
    ],
)
def test_lists_with_another_price_order_or_member_differ(changed: Tariffs) -> None:
    assert changed != TARIFFS


def test_an_evolved_list_is_searched_anew() -> None:
    TARIFFS.zone("1")
    TARIFFS.operator("25001")
    cheaper = attrs.evolve(RUSSIA, api=Decimal(1))
    other = attrs.evolve(TARIFFS, zones=(cheaper,), codes=())
    assert other.zone("1") is cheaper
    with pytest.raises(KeyError):
        other.operator("25001")


def test_zones_and_operators_are_found_by_their_numbers() -> None:
    assert TARIFFS.zone("2") is NOWHERE
    assert TARIFFS.operator("25002") is UNPRICED


def test_a_missing_zone_or_operator_is_a_key_error_that_says_what_to_do() -> None:
    with pytest.raises(KeyError, match=r"no zone '3' in this list of 2 zones; see \.zones"):
        TARIFFS.zone("3")
    with pytest.raises(KeyError, match="no individual tariff for operator '1' among 2; its zone's price applies"):
        TARIFFS.operator("1")
    with pytest.raises(KeyError, match="0 zones"):
        Tariffs(()).zone("1")


class Interrupted(tuple[T, ...]):  # noqa: SLOT001  # it has a look_up of its own
    """A tuple in the middle of whose first reading somebody else looks something up, as another thread may."""

    look_up: Callable[[], object]

    def __iter__(self) -> Iterator[T]:
        for position, each in enumerate(super().__iter__()):
            if position == 1 and "look_up" in vars(self):
                look_up = self.look_up
                del self.look_up
                look_up()
            yield each


def test_a_lookup_in_the_middle_of_anothers_finds_every_zone() -> None:
    zones, found = Interrupted((RUSSIA, NOWHERE)), list[Zone]()
    tariffs = Tariffs(zones)
    zones.look_up = lambda: found.append(tariffs.zone("2"))
    assert tariffs.zone("1") is RUSSIA
    assert found == [NOWHERE]


def test_a_lookup_in_the_middle_of_anothers_finds_every_operator() -> None:
    codes, found = Interrupted((MTS, UNPRICED)), list[OperatorTariff]()
    tariffs = Tariffs((RUSSIA,), codes)
    codes.look_up = lambda: found.append(tariffs.operator("25002"))
    assert tariffs.operator("25001") is MTS
    assert found == [UNPRICED]


@pytest.mark.parametrize(
    ("service", "cost"), [("api", "2.50"), ("mass", "2.40"), ("mms", "7"), ("hlr", "0.30"), ("call", "1.5")]
)
def test_without_an_operator_the_zone_has_the_price(service: str, cost: str) -> None:
    price = TARIFFS.price("1", service=service)
    assert price == Price(Decimal(cost), RUSSIA, Service(service))
    assert price is not None
    assert not price.is_individual


@pytest.mark.parametrize("service", [Service.API, Service.MASS])
@pytest.mark.parametrize("zone", [None, "1", "2"])
def test_an_individual_tariff_goes_before_the_zone_for_messages(service: Service, zone: str | None) -> None:
    price = TARIFFS.price(zone, operator="25001", service=service)
    assert price == Price(Decimal("1.85"), MTS, service)
    assert price is not None
    assert price.is_individual


@pytest.mark.parametrize("service", [Service.MMS, Service.HLR, Service.CALL])
def test_an_individual_tariff_does_not_answer_for_anything_but_messages(service: Service) -> None:
    price = TARIFFS.price("1", operator="25001", service=service)
    assert price is not None
    assert price.source is RUSSIA
    assert TARIFFS.price(operator="25001", service=service) is None


@pytest.mark.parametrize("operator", ["25002", "99999"])
def test_an_operator_without_an_individual_price_has_that_of_its_zone(operator: str) -> None:
    assert TARIFFS.price("1", operator=operator) == TARIFFS.price("1")
    assert TARIFFS.price(operator=operator) is None


def test_a_zone_without_a_price_has_none() -> None:
    assert TARIFFS.price("2") is None


def test_a_price_of_zero_is_a_price() -> None:
    free = Tariffs((Zone("1", "Free", api=Decimal(0)),), (OperatorTariff("1", Decimal(0)),))
    assert free.price("1") == Price(Decimal(0), free.zones[0], Service.API)
    assert free.price(operator="1") == Price(Decimal(0), free.codes[0], Service.API)


def test_a_price_of_nothing_and_of_an_unknown_zone_or_service_is_misuse() -> None:
    with pytest.raises(TypeError, match="needs a zone, an operator or both"):
        TARIFFS.price()
    with pytest.raises(KeyError, match="no zone '9'"):
        TARIFFS.price("9", operator="25001")
    with pytest.raises(ValueError, match="fax"):
        TARIFFS.price("1", service="fax")


@pytest.mark.parametrize("operator", ["", "250", " 25001", "250-01", "25001234", "２５００１"])  # noqa: RUF001
def test_an_operator_that_is_none_is_not_priced_as_if_it_were_one_without_a_tariff(operator: str) -> None:
    with pytest.raises(ValueError, match="must be a country and a network code"):
        TARIFFS.price("1", operator=operator)


def test_a_number_where_text_is_due_is_told() -> None:
    number: Any = 25001
    with pytest.raises(TypeError, match='operator=25001: must be text, such as "25001", not int'):
        TARIFFS.price("1", operator=number)
    with pytest.raises(TypeError, match="operator=25001: must be text"):
        TARIFFS.operator(number)
    with pytest.raises(TypeError, match='zone=25001: must be text, such as "1", not int'):
        TARIFFS.price(number)


def test_to_dict_has_the_shape_of_the_services_json() -> None:
    assert TARIFFS.to_dict() == {
        "currency": "RUR",
        "zones": [
            {
                "zone": "1",
                "name": "Russia",
                "api": "2.50",
                "mass": "2.40",
                "mms": "7",
                "hlr": "0.30",
                "call": "1.5",
            },
            {
                "zone": "2",
                "name": "Nowhere",
                "api": None,
                "mass": None,
                "mms": None,
                "hlr": None,
                "call": None,
                "vat": "20",
            },
        ],
        "codes": [
            {"mccmnc": "25001", "cost": "1.85", "note": "new"},
            {"mccmnc": "25002", "cost": None},
        ],
        "mail": "0.10",
    }


def test_in_to_dict_documented_members_go_before_others_of_the_same_name() -> None:
    clash = Tariffs(
        (Zone("1", "a", extra=Extra({"name": "b"})),), mail=Decimal(1), extra=Extra({"mail": "c", "zones": "d"})
    )
    members = clash.to_dict()
    assert members["mail"] == "1"
    assert members["zones"] == [
        {"zone": "1", "name": "a", "api": None, "mass": None, "mms": None, "hlr": None, "call": None}
    ]


@pytest.mark.parametrize("digits", ["9.50", "0.1000000000000000055", "100", "0", "0.00000001", "1E+2", "-1.0"])
def test_json_has_the_digits_of_the_price(digits: str) -> None:
    written = format(Decimal(digits), "f")
    tariffs = Tariffs(
        (Zone("1", "a", api=Decimal(digits)),), (OperatorTariff("25001", Decimal(digits)),), Decimal(digits)
    )
    members = json.loads(tariffs.to_json())
    assert members == tariffs.to_dict()
    assert [members["zones"][0]["api"], members["codes"][0]["cost"], members["mail"]] == [written] * 3
    assert json.loads(json.dumps(tariffs.to_dict())) == members


def test_decode_reads_the_json_back() -> None:
    assert decode(TARIFFS.to_json().encode()) == TARIFFS


ODD = ["\ud800", "\udfff", "\x00", "\x9b31m", "\u202e", "\u2028", "\ufeff", "\uffff", "\U000e0041", '"\\\r\n', "Яї"]


@given(st.text(st.characters()) | st.sampled_from(ODD), st.text(st.characters()) | st.sampled_from(ODD))
def test_odd_characters_crash_neither_json_nor_csv(name: str, member: str) -> None:
    tariffs = Tariffs((Zone("1", name, extra=Extra({member: name})),), mail=Decimal(1), extra=Extra({name: member}))
    text = tariffs.to_json()
    assert text.isprintable()
    assert json.loads(text.encode()) == tariffs.to_dict()
    json.dumps(tariffs.to_dict(), ensure_ascii=False).encode()
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(tariffs.to_rows()[0]))
    writer.writerows(tariffs.to_rows())
    file.getvalue().encode()


def test_characters_that_are_not_printable_are_escaped_in_json_and_nothing_else() -> None:
    text = Tariffs((Zone("1", "Яї\x9b\u202e\u2028"),)).to_json()
    assert r'"name":"Яї\u009b\u202e\u2028"' in text
    assert json.loads(text)["zones"][0]["name"] == "Яї\x9b\u202e\u2028"


def test_half_of_a_surrogate_pair_is_escaped_wherever_text_is_written() -> None:
    tariffs = Tariffs((Zone("1", "a\ud800"),))
    assert tariffs.to_dict()["zones"] == json.loads(tariffs.to_json())["zones"]
    assert json.loads(tariffs.to_json())["zones"][0]["name"] == tariffs.to_rows()[0]["name"] == r"a\ud800"


COLUMNS = ["kind", "zone", "name", "mccmnc", "api", "mass", "mms", "hlr", "call", "cost"]


def test_to_rows_gives_rows_of_one_shape() -> None:
    rows = TARIFFS.to_rows()
    assert [list(row) for row in rows] == [[*COLUMNS, "vat", "note"]] * 5
    assert [row["kind"] for row in rows] == ["zone", "zone", "operator", "operator", "mail"]
    assert [row["zone"] for row in rows] == ["1", "2", None, None, None]
    assert [row["mccmnc"] for row in rows] == [None, None, "25001", "25002", None]
    assert [row["api"] for row in rows] == [Decimal("2.50"), None, None, None, None]
    assert [row["cost"] for row in rows] == [None, None, Decimal("1.85"), None, Decimal("0.10")]
    assert [row["vat"] for row in rows] == [None, "20", None, None, None]
    assert [row["note"] for row in rows] == [None, None, "new", None, None]


def test_to_rows_of_an_empty_list_is_the_email_price_alone() -> None:
    assert Tariffs(()).to_rows() == [{**dict.fromkeys(COLUMNS), "kind": "mail"}]


def test_in_to_rows_a_member_named_like_a_column_gets_one_of_its_own() -> None:
    zone = Zone("1", "a", extra=Extra({"cost": "12", "kind": "b"}))
    operator = OperatorTariff("25001", Decimal(1), Extra({"api": "3", "name": "MTS"}))
    rows = Tariffs((zone,), (operator,)).to_rows()
    assert list(rows[0]) == [*COLUMNS, "extra_cost", "extra_kind", "extra_api", "extra_name"]
    assert [row["kind"] for row in rows] == ["zone", "operator", "mail"]
    assert [(row["cost"], row["extra_cost"]) for row in rows] == [(None, "12"), (Decimal(1), None), (None, None)]
    assert [(row["api"], row["extra_api"]) for row in rows] == [(None, None), (None, "3"), (None, None)]


def test_rows_go_into_a_csv_writer_as_they_are() -> None:
    rows = TARIFFS.to_rows()
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    assert file.getvalue().splitlines()[1] == "zone,1,Russia,,2.50,2.40,7,0.30,1.5,,,"


def test_extra_is_a_mapping_equal_to_any_with_the_same_items() -> None:
    extra = Extra({"b": "1", "a": "2"})
    assert extra == {"a": "2", "b": "1"}
    assert extra == Extra({"a": "2", "b": "1"})
    assert extra != {"a": "2"}
    assert list(extra) == ["b", "a"]
    assert (len(extra), extra["a"], extra.get("c")) == (2, "2", None)
    assert repr(extra) == "{'b': '1', 'a': '2'}"
    assert Extra() == Extra({}) == {}


def test_extra_keeps_nothing_of_the_dict_that_it_was_made_from() -> None:
    items = {"a": "1"}
    extra = Extra(items)
    items["a"] = "2"
    assert extra["a"] == "1"
    with pytest.raises(TypeError):
        extra["a"] = "3"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]  # that is the test


def test_formats_and_services_have_the_values_of_the_wire() -> None:
    assert {each.name: each.value for each in Format} == {"PLAIN": 0, "CSV": 1, "XML": 2, "JSON": 3}
    assert [each.value for each in Service] == ["api", "mass", "mms", "hlr", "call"]
    assert {each.value for each in Service} < set(attrs.fields_dict(Zone))
