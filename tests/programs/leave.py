"""Ways to end a recorded program.  Arguments: native|python and the way."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading

import _recorded as recorded

recorded.start()
gc.collect()
recorded.wait_for_rounds()
recorded.report(pid=os.getpid(), files=[path.name for path in recorded.flight_files()])
way = sys.argv[2]
if way == "sys.exit":
    sys.exit(3)
elif way == "os._exit":
    os._exit(3)
elif way == "SIGKILL":
    os.kill(os.getpid(), signal.SIGKILL)
elif way == "SIGTERM":
    os.kill(os.getpid(), signal.SIGTERM)
elif way == "daemon thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
elif way == "garbage":

    class Late:
        def __del__(self):
            gc.collect()

    late = Late()
    late.itself = late
