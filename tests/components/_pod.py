"""Processes that meet as containers do: a network of their own with names for each other, and nothing else of the machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

#: Brings loopback up, shows the names, and holds the two namespaces until its standard input ends.
_HOLD = """
import fcntl, socket, struct, subprocess, sys
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
with socket.socket() as any:
    name, flags = struct.unpack_from("16sh", fcntl.ioctl(any, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0)))
    fcntl.ioctl(any, SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | IFF_UP))
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/hosts"], check=True)
print("up", flush=True)
sys.stdin.read()
"""

_GET = "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], method=sys.argv[2]), timeout=10).read().decode())"


class Pod:
    """A network namespace with loopback alone; ``names`` are all of that address."""

    def __init__(self, names: list[str]) -> None:
        with tempfile.NamedTemporaryFile("w", delete=False) as hosts:
            hosts.write("".join(f"127.0.0.1 {name}\n" for name in ["localhost", *names]))
        command = ["unshare", "--net", "--mount", sys.executable, "-c", _HOLD, hosts.name]
        self._holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        ready = self._holder.stdout.readline()
        Path(hosts.name).unlink()  # what is mounted stays
        self.why_not = "" if ready == "up\n" else self._holder.stderr.read()

    def command(self, *words: str) -> list[str]:
        """The same command, inside; by exec, so its pid is the caller's child."""
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", f"--wd={Path.cwd()}", *words]

    def get(self, url: str, method: str = "GET") -> str:
        """An answer, asked for from inside; ConnectionError where there is none."""
        done = subprocess.run(
            self.command(sys.executable, "-c", _GET, url, method),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise ConnectionError(done.stderr)
        return done.stdout.removesuffix("\n")

    def close(self) -> None:
        """End it; who is still inside keeps it."""
        self._holder.communicate("", timeout=10)
