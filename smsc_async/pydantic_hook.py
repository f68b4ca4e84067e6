"""The pydantic schema of the records, so that a FastAPI endpoint can return them with exact digits.

Only pydantic calls this module, so pydantic is installed when it runs; the package does not depend on it. The schema is
that of ``to_dict()``: a price is text, because a JSON number would become a float and lose digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from pydantic_core.core_schema import CoreSchema

_Record = TypeVar("_Record")


class SchemaHandler(Protocol):
    """The part of pydantic's ``GetCoreSchemaHandler`` that the records use."""

    def generate_schema(self, source_type: type, /) -> object:
        """Return the core schema of another type."""
        ...


def record_schema(
    record: type[_Record],
    handler: SchemaHandler,
    *,
    texts: Sequence[str] = (),
    prices: Sequence[str] = (),
    lists: Mapping[str, type] | None = None,
    extra: Callable[[dict[str, str]], object],
    to_members: Callable[[_Record], Mapping[str, object]],
) -> object:
    """Return the core schema of a record, which is written as an object with all its members.

    An instance of the class is valid, and so is an object with all documented members; other members are text.

    Args:
        record: The class; its name is that of the schema, as in an OpenAPI document.
        handler: Returns the schemas of the records in ``lists``.
        texts: The members that are text.
        prices: The members that are prices.
        lists: The members that are lists, with the class of their items.
        extra: Makes the ``extra`` of a record from the other members.
        to_members: Returns the members of a record.
    """
    from pydantic_core import core_schema  # noqa: PLC0415  # an optional package

    lists = lists or {}
    text = core_schema.str_schema(strict=True)
    price = core_schema.nullable_schema(
        core_schema.str_schema(strict=True, pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=64)
    )
    members: dict[str, CoreSchema] = dict.fromkeys(texts, text)
    for member, item in lists.items():
        members[member] = core_schema.list_schema(cast("CoreSchema", handler.generate_schema(item)))
    members |= dict.fromkeys(prices, price)

    def from_members(given: dict[str, Any]) -> _Record:
        documented = {member: given.pop(member) for member in members}
        documented |= {member: tuple(documented[member]) for member in lists}
        documented |= {member: Decimal(documented[member]) for member in prices if documented[member] is not None}
        return cast("Callable[..., _Record]", record)(**documented, extra=extra(given))

    shape = core_schema.typed_dict_schema(
        {member: core_schema.typed_dict_field(schema) for member, schema in members.items()},
        extra_behavior="allow",
        extras_schema=text,
        ref=f"smsc_async.{record.__name__}:members",
    )
    from_object = core_schema.no_info_after_validator_function(from_members, shape)
    return core_schema.json_or_python_schema(
        from_object,
        core_schema.union_schema([core_schema.is_instance_schema(record), from_object]),
        serialization=core_schema.plain_serializer_function_ser_schema(to_members, return_schema=shape),
    )
