"""Signals that belong to the program.  Arguments: native|python, then sigwait, handler or default."""

from __future__ import annotations

import os
import signal
import sys

import _recorded as recorded

mode = sys.argv[2]
ready = os.pipe()
sender = os.fork()  # before anything records: it is no child of a recorded process
if sender == 0:
    os.read(ready[0], 1)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(0)


class Terminated(Exception):
    pass


def raise_it(*_: object) -> None:
    raise Terminated


recorded.start()
recorded.wait_for_rounds()
never = os.pipe()
got = None
if mode == "sigwait":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.write(ready[1], b".")
    got = signal.sigwait({signal.SIGTERM})
elif mode == "handler":
    signal.signal(signal.SIGTERM, raise_it)
    try:
        os.write(ready[1], b".")
        os.read(never[0], 1)
    except Terminated:
        got = signal.SIGTERM
else:
    os.write(ready[1], b".")
    os.read(never[0], 1)
code = recorded.exit_code(sender)
recorded.wait_for_rounds()
recorded.report(got=got, sender_exit=code)
