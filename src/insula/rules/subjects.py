"""What a rule is asked about, seen as values of CEL: dicts, Structs, dataclasses, any object with fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from insula.rules.errors import NoOverload, NoSuchField
from insula.rules.moments import Duration, Timestamp
from insula.rules.values import NONE, MapKey, OptionalValue, TypeValue, UInt, in_int, map_key, named

_SCALARS = frozenset((type(None), bool, float, str, bytes, UInt, Timestamp, Duration, TypeValue, OptionalValue))


def value_of(subject: Any) -> Any:
    """A subject's part as a value, with all that it holds. Raises EvaluationError for what has no type in CEL."""
    kind = subject.__class__
    if kind in _SCALARS:
        return subject
    if kind is int:
        return in_int(subject)
    if kind is list or kind is tuple:
        return [value_of(each) for each in subject]
    if kind is dict:
        return {_key(key): value_of(value) for key, value in subject.items()}
    return _of_another_type(subject)


def _of_another_type(subject: Any) -> Any:
    for kind, convert in _CONVERSIONS:
        if isinstance(subject, kind):
            return convert(subject)
    return subject


_CONVERSIONS: tuple[tuple[Any, Any], ...] = (
    (Enum, lambda member: value_of(member.value)),
    (bool, bool),
    (int, lambda number: in_int(int(number))),
    (float, float),
    (str, str.__str__),
    (Decimal, float),
    (datetime, Timestamp.of),
    (date, lambda day: day.isoformat()),
    (time, lambda moment: moment.isoformat()),
    (timedelta, Duration.of),
    (UUID, str),
    ((bytearray, memoryview), bytes),
    (Mapping, lambda mapping: {_key(key): value_of(value) for key, value in mapping.items()}),
    ((list, tuple), lambda values: [value_of(each) for each in values]),
    (AbstractSet, lambda values: sorted((value_of(each) for each in values), key=lambda each: (named(each), each))),
)


def _key(key: Any) -> Any:
    return key if key.__class__ is str or key.__class__ is MapKey else map_key(value_of(key))


def field_of(subject: Any, name: str) -> Any:
    """A field, as it is. Raises `NoSuchField`, and `NoOverload` for what has none."""
    if subject.__class__ in _WITHOUT_FIELDS:
        if isinstance(subject, OptionalValue):
            return _within(subject, lambda value: field_of(value, name))
        raise NoOverload(f"a {named(subject)} has no fields, and no {name}")
    if hasattr(subject, "__getitem__"):
        try:
            return subject[name]
        except KeyError:
            raise NoSuchField(f"there is no field {name}") from None
        except TypeError:
            pass  # its elements have numbers, and its fields are attributes
    if name.startswith("_"):
        raise NoSuchField(f"{name}: a rule sees no field that begins with an underscore")
    try:
        found = getattr(subject, name)
    except AttributeError:
        raise NoSuchField(f"{subject.__class__.__name__} has no field {name}") from None
    if callable(found):  # a rule asks what is, and does nothing
        raise NoSuchField(f"{subject.__class__.__name__}.{name} is no field")
    return found


_WITHOUT_FIELDS = _SCALARS | {int, list, tuple}


class FieldsOf(Mapping[str, Any]):
    """One subject, seen as the dict of its fields: a rule about it names them without a dot. Parameters: `subject`."""

    __slots__ = ("subject",)

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def __getitem__(self, name: str) -> Any:
        try:
            return field_of(self.subject, name)
        except NoSuchField:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("the fields of a subject are looked up by name")

    def __len__(self) -> int:
        return 1


def has_field(subject: Any, name: str) -> bool:
    """Whether a field is there and has a value."""
    try:
        found = field_of(subject, name)
    except NoSuchField:
        return False
    if isinstance(subject, OptionalValue):
        return bool(found.present)
    return isinstance(subject, Mapping) or found is not None


def element_of(subject: Any, key: Any) -> Any:
    """An element of a list or an entry of a map, as it is. Raises EvaluationError where it is not there."""
    kind = subject.__class__
    if kind is list or kind is tuple:
        return subject[_position(subject, key)]
    if isinstance(subject, Mapping):
        return _entry(subject, key)
    if kind is OptionalValue:
        return _within(subject, lambda value: element_of(value, key))
    raise NoOverload(f"{named(subject)}[{named(key)}]: only a list or a map has elements")


def _position(subject: Any, key: Any) -> int:
    at = map_key(key)
    if not isinstance(at, int):
        raise NoOverload(f"list[{named(key)}]: an element is named by its number")
    if not 0 <= at < len(subject):
        raise NoSuchField(f"there is no element {int(at)} in a list of {len(subject)}")
    return int(at)


def _entry(subject: Mapping[Any, Any], key: Any) -> Any:
    wanted = map_key(key)
    if wanted in subject:
        return subject[wanted]
    raise NoSuchField(f"there is no entry {key!r}")


def _within(optional: OptionalValue, look: Any) -> OptionalValue:
    """What lies within a value that may be missing may be missing itself."""
    if not optional.present:
        return NONE
    return maybe(lambda: look(optional.value))


def maybe(look: Any) -> OptionalValue:
    """What is found, or none."""
    try:
        found = look()
    except NoSuchField:
        return NONE
    return found if isinstance(found, OptionalValue) else OptionalValue(found)
