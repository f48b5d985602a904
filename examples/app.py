"""A small Flask application, for the examples beside it."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


class Node:
    """Makes a reference cycle with itself, so that the collector has something to do."""

    def __init__(self) -> None:
        self.itself = self


@app.get("/")
def index() -> str:
    """Answer, and leave a few cycles behind."""
    return f"{len([Node() for _ in range(200)])} cycles\n"
