"""Starts the recorder, where `gc-otel run` put this folder on PYTHONPATH because no gc_otel.pth can.

Any Python may inherit that, so this must parse and do no harm in 2.7 too.
"""

import os
import sys


def _record():
    if sys.version_info < (3, 10) or sys.platform != "linux" or not os.environ.get("GC_OTEL_AUTOLOAD"):
        return
    try:
        from gc_otel.probe.autoload import start_if_asked
    except Exception:  # an environment without gc_otel, or with half of one: the exporter says so
        return
    start_if_asked()


def _run_the_next():
    # Python imports one sitecustomize, the first on sys.path. It is this one: run the next one in its place,
    # as if this folder had never been there. Its errors are its own, and site tells them.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or os.curdir) != here]
    this = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401 - another file of that name
    except ImportError:
        # There is none, which is no error; that it failed to import something else is one (2.7 does not tell them apart).
        if getattr(sys.exc_info()[1], "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        # The import system wants to find what it is loading; the other one stays, if it is there.
        sys.modules.setdefault("sitecustomize", this)


_record()
_run_the_next()
