"""`make bench-peers`: the worker beside other ways to classify images, in one run."""
