"""A leak, found in three steps: what grows, who holds it, whether it is garbage.

python examples/who_holds.py [SESSIONS]
"""

from __future__ import annotations

import sys

import gc_otel


class Session:
    """What a service keeps for a user."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.basket: list[str] = []


PENDING: dict[str, Session] = {}


def serve(number: int) -> None:
    """A request: its session is put aside, and never taken away."""
    PENDING[f"user {number}"] = Session(f"user {number}")


def main(sessions: int) -> None:
    """Serve, and look."""
    serve(0)
    before = gc_otel.take_census()
    for number in range(sessions):
        serve(number)
    growth = gc_otel.take_census().since(before)
    print("grown:")
    for each in growth.types[:4]:
        print(f"  {each.name:<30} {each.objects:+,}")
    print(gc_otel.find_holders(Session))
    print(f"garbage cycles: {gc_otel.find_cycles().cycles}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
