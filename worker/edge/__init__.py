"""Bundles for devices at the edge: a model in their own format, with all that it takes to run it.

A bundle needs neither this project nor Paddle: the network, what `inference.yml` says as JSON, a
program that classifies with the format's runtime, numpy and Pillow, and images with known answers.
`docs/edge.md` says which format suits which device.
"""
