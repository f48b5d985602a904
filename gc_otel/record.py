"""Frozen records, for what the observed process imports.

``dataclasses`` costs 20 ms and 2.6 MB there, most of it for ``inspect``, and half a
millisecond more for each class, whose methods it compiles.  Everything else uses dataclasses.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs 10 ms more; type checkers know the name
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from typing_extensions import dataclass_transform

    T = TypeVar("T", bound="Record")
else:

    def dataclass_transform(**_: bool) -> object:
        """Nothing at run time."""
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Record:
    """A subclass's annotations are its fields, their values the defaults; equal where all fields are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = tuple(type(self).__annotations__)
        defaults = {name: getattr(type(self), name) for name in names if hasattr(type(self), name)}
        values = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
        if len(args) > len(names) or values.keys() != set(names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}")
        self.__dict__.update({name: values[name] for name in names})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot become {value!r}: it is frozen")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def replace(record: T, **changes: Any) -> T:
    """The record with other values in some of its fields."""
    return type(record)(**{**record.__dict__, **changes})
