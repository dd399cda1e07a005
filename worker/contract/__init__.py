"""The wire contract: jobs, results and dead letters, as records and as values.

`schemas/` describes it. Both sides use it: the worker parses jobs and makes results and dead
letters; `submit` makes jobs and reads results. Importing it loads no image codec.
"""
