"""The exporter service: every recorded process of one flight folder, on one /metrics.

It runs beside the programs that it watches, in a process of its own, and asks them
for nothing: their flight files are read and /proc is sampled from outside.  Nothing of this
room is imported by an observed process.
"""
