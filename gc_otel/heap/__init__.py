"""What is on the heap of this process: how much of each type, which cycles, who holds it.

Usable with no recorder.  Nothing here calls ``gc.collect()``, runs code of a
class that it looks at, or shows a value: types, counts, sizes, lengths and the
names that code gave.
"""
