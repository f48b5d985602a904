"""What runs in processes of its own, so that one measurement cannot warm or litter another's heap.

Each script prints its numbers as JSON on its last line.
"""
