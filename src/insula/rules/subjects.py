"""What a rule is asked about, seen as values of CEL: dicts, Structs, dataclasses, any object with fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from insula.rules.errors import EvaluationError, NoOverload, NoSuchField
from insula.rules.moments import Duration, Timestamp
from insula.rules.values import (
    NONE,
    MapKey,
    OptionalValue,
    Spend,
    TypeValue,
    UInt,
    freely,
    in_int,
    key_value,
    map_key,
    named,
)

SCALARS = frozenset((type(None), bool, float, str, bytes, UInt, Timestamp, Duration, TypeValue, OptionalValue))


def value_of(subject: Any, spend: Spend = freely, depth: int = 0) -> Any:
    """A subject's part as a value, with all that it holds. Raises EvaluationError for what has no type in CEL.

    Parameters: `spend`, which is told how much there is; `depth`, how deep in another one it is.
    """
    kind = subject.__class__
    if kind in SCALARS:
        return subject
    if kind is int:
        return in_int(subject)
    if kind is list or kind is tuple:
        _enter(subject, spend, depth)
        return [value_of(each, spend, depth + 1) for each in subject]
    if kind is dict:
        _enter(subject, spend, depth)
        return {_key(key): value_of(value, spend, depth + 1) for key, value in subject.items()}
    return _of_another_type(subject, spend, depth)


def _enter(subject: Any, spend: Spend, depth: int) -> None:
    if depth > _DEEPEST:  # also where it holds itself
        raise EvaluationError(f"what a rule is asked about is nested no deeper than {_DEEPEST}")
    spend(1 + (len(subject) >> 3))


def _of_another_type(subject: Any, spend: Spend, depth: int) -> Any:
    if isinstance(subject, Mapping):
        return value_of(dict(subject), spend, depth)
    if isinstance(subject, list | tuple):
        return value_of(list(subject), spend, depth)
    if isinstance(subject, AbstractSet):
        return _in_order(value_of(list(subject), spend, depth))
    for kind, convert in _CONVERSIONS:
        if isinstance(subject, kind):
            try:
                return convert(subject)
            except (ValueError, OverflowError) as error:
                raise EvaluationError(f"a {subject.__class__.__name__} cannot be read: {error}") from None
    return subject


def _in_order(values: list[Any]) -> list[Any]:
    """The elements of a set as a list that is always the same, as far as they have an order."""
    try:
        return sorted(values, key=lambda each: (named(each), each))
    except TypeError:
        return sorted(values, key=lambda each: (named(each), repr(each)))


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
)
_DEEPEST = 200


def _key(key: Any) -> Any:
    return key if key.__class__ is str or key.__class__ is MapKey else map_key(value_of(key))


def field_of(subject: Any, name: str) -> Any:
    """A field, as it is. Raises `NoSuchField`, and `NoOverload` for what has none."""
    if subject.__class__ in _WITHOUT_FIELDS:
        if isinstance(subject, OptionalValue):
            return _within(subject, lambda value: field_of(value, name))
        raise NoOverload(f"a {named(subject)} has no fields, and no {name}")
    try:
        if hasattr(subject, "__getitem__"):
            try:
                return subject[name]
            except TypeError:
                pass  # its elements have numbers, and its fields are attributes
        return _attribute_of(subject, name)
    except KeyError:
        raise NoSuchField(f"there is no field {name}") from None
    except AttributeError:
        raise NoSuchField(f"{subject.__class__.__name__} has no field {name}") from None
    except EvaluationError:
        raise
    except Exception as error:  # of a property
        raise EvaluationError(f"{subject.__class__.__name__}.{name}: {type(error).__name__}: {error}") from error


def _attribute_of(subject: Any, name: str) -> Any:
    if name.startswith("_"):
        raise NoSuchField(f"{name}: a rule sees no field that begins with an underscore")
    found = getattr(subject, name)
    if callable(found):  # a rule asks what is, and does nothing
        raise NoSuchField(f"{subject.__class__.__name__}.{name} is no field")
    return found


_WITHOUT_FIELDS = SCALARS | {int, list, tuple}


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
    own = wanted if wanted in subject else key_value(wanted)
    if own in subject and (own not in (0, 1) or _is_bool_key(subject, own) is (wanted.__class__ is MapKey)):
        return subject[own]
    raise NoSuchField(f"there is no entry {key!r:.60}")


def _is_bool_key(subject: Mapping[Any, Any], key: Any) -> bool:
    """Python takes True for 1, so it may have found another key than the one that was wanted."""
    return _key(next(each for each in subject if each == key)).__class__ is MapKey


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
