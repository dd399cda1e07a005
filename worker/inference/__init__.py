"""Inference: batches, predictor processes and the backends in them."""
