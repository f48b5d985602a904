"""``python -m gc_otel.cli``: the command ``gc-otel`` where no script is installed."""

from __future__ import annotations

import sys

from gc_otel.cli import main

if __name__ == "__main__":
    sys.exit(main())
