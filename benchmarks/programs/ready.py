"""A program that says when it runs and what it costs, and waits until its input ends."""

from __future__ import annotations

import sys

sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.read()
