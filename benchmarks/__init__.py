"""`make bench`: the bare predictor and the worker end to end, on the same images in one run."""
