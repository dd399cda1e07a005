"""What runs in the predictor process: the network and the library that computes it."""
