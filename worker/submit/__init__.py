"""Submits images as jobs and waits for their results."""

from worker.submit.items import Encoding, Item, find_items
from worker.submit.results import Answer
from worker.submit.submission import Options, Submission

__all__ = ["Answer", "Encoding", "Item", "Options", "Submission", "find_items"]
