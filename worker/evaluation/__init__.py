"""How good a model is on labelled images: measured, compared with another model, reported.

Images are classified as `predict` does it (`run`). What is kept of each is a row of numbers
(`answers`), from which everything else is computed.
"""
