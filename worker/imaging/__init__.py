"""The worker's side of image processes: which calls go where, and what happens when one dies."""
