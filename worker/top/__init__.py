"""What `classify-worker top` shows: figures of running workers, from their `/metrics` alone."""
