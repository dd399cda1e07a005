"""The fault harness: real brokers, real workers, a seeded schedule of faults, and a proof after it.

For development alone; not in the wheel. `python -m chaos --help` tells how to use it.
"""
