"""Reference counts, as `sys.getrefcount()` would show them if it did not count itself."""

from __future__ import annotations

from gc_otel import refcount


def called_with(parameter: object) -> int | None:
    """The parameter is one more reference; from 3.14 on it is lent by the caller, and not counted."""
    return refcount(parameter)


def main() -> None:
    """One name, two, a container, a call, and back."""
    value = object()
    print(f"one name           {refcount(value)}")
    second = value
    print(f"two names          {refcount(value)}")
    items = [value, second]
    print(f"and twice a list   {refcount(value)}")
    print(f"during a call      {called_with(value)}")
    print(f"after it           {refcount(value)}")
    del second
    items.clear()
    print(f"one name again     {refcount(value)}")
    print(f"nobody's           {refcount(object())}")
    print(f"None               {refcount(None)}")


if __name__ == "__main__":
    main()
