"""Submits images as jobs and waits for their results: the producer's side of the contract."""

from worker.submit.answers import Answer
from worker.submit.items import Item, Way, find_items
from worker.submit.submission import Options, Submission

__all__ = ["Answer", "Item", "Options", "Submission", "Way", "find_items"]
