"""health.py URL: exit 0 when it answers with 200; the image has no curl."""

from __future__ import annotations

import sys
import urllib.request

try:
    urllib.request.urlopen(sys.argv[1], timeout=3).close()
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
