"""gunicorn's configuration: the master imports what notes, at each fork, what the child inherits."""

import still  # noqa: F401

preload_app = False
loglevel = "error"
