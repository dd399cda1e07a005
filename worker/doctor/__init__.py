"""Whether this machine, its models and its brokers are fit for the worker, and what to do if not.

Each check gives findings, within a bound, and whatever happens to the others.
"""
