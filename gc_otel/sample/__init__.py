"""What the operating system knows about a process: its memory, CPU time, descriptors and the limit that binds it.

The exporter service samples other processes from outside (run mode); a process with
its own OpenTelemetry SDK samples itself (library mode).  Both use this room, which
knows neither flight files nor OpenTelemetry, and imports psutil only when a
sampler is made.
"""
