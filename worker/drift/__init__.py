"""Whether what a model answers has changed since it was evaluated.

A baseline is what the model answered to data that it is known to suit: how often each class came
first, how its best scores and its entropies were spread. `evaluate --baseline` writes one, and a
worker with `drift.baseline` compares its own answers with it.
"""
