"""The pydantic schema of the records, so that a FastAPI endpoint can return them with exact digits.

Only pydantic calls this module, so pydantic is installed when it runs; the package does not depend on it. The schema is
that of ``to_dict()``: a price is text, because a JSON number would become a float and lose digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, get_args, get_origin

import attrs

if TYPE_CHECKING:
    from pydantic_core.core_schema import CoreSchema

_Record = TypeVar("_Record")


class SchemaHandler(Protocol):
    """The part of pydantic's ``GetCoreSchemaHandler`` that the records use."""

    def generate_schema(self, source_type: type, /) -> object:
        """Return the core schema of another type."""
        ...


def record_schema(
    record: type[_Record], handler: SchemaHandler, to_members: Callable[[_Record], Mapping[str, object]]
) -> object:
    """Return the core schema of a record, which is written as an object with all its members.

    An instance of the class is valid, and so is an object with all documented members; other members are text, and go
    into ``extra``. The members are the fields of the record that are not keyword-only: texts, prices and lists of records.

    Args:
        record: The class; its name is that of the schema, as in an OpenAPI document.
        handler: Returns the schemas of the records in lists.
        to_members: Returns the members of a record.
    """
    from pydantic_core import core_schema  # noqa: PLC0415  # an optional package

    text = core_schema.str_schema(strict=True)
    price = core_schema.nullable_schema(
        core_schema.str_schema(strict=True, pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=64)
    )
    fields = attrs.fields(attrs.resolve_types(cast("Any", record)))
    kinds: dict[str, Any] = {field.name: field.type for field in fields if not field.kw_only}
    extra = kinds.pop("extra")

    def schema_of(kind: Any) -> CoreSchema:
        if get_origin(kind) is tuple:
            return core_schema.list_schema(cast("CoreSchema", handler.generate_schema(get_args(kind)[0])))
        return text if kind is str else price

    def from_members(given: dict[str, Any]) -> _Record:
        documented = {member: _value(given.pop(member), kind) for member, kind in kinds.items()}
        return cast("Callable[..., _Record]", record)(**documented, extra=extra(given))

    shape = core_schema.typed_dict_schema(
        {member: core_schema.typed_dict_field(schema_of(kind)) for member, kind in kinds.items()},
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


def _value(value: Any, kind: object) -> object:
    if isinstance(value, list):
        return tuple(cast("list[object]", value))
    return value if value is None or kind is str else Decimal(value)
