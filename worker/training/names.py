"""The files of a checkpoint, which the owner and the processes of a training share."""

from __future__ import annotations

__all__ = ["BACKBONE", "BEGUN", "CROPS", "EXPORT", "FEATURES", "PROBE", "READ", "ROWS", "STATE"]

BEGUN = "begun.json"
"""What must be the same when it is resumed: the data, the model, versions, threads."""

BACKBONE = "backbone"
"""A directory with the network without its head, and `cut.json`."""

ROWS = "rows.npz"
"""`targets` `[N] int64` and `splits` `[N] int8`."""

READ = "read.json"
"""Which images have been read, and which could not be."""

FEATURES = "features.f32"
"""`[N, F] float32`, row after row."""

CROPS = "crops.u8"
"""`[N, H, W, 3] uint8`, row after row; with `--unfreeze` alone."""

PROBE = "probe.npy"
"""Crops `[P, H, W, 3] uint8` of the images whose scores are compared."""

STATE = "state.npz"
"""Weights, optimizer, epochs: `worker.training.process.state`."""

EXPORT = "export"
"""A directory in which the model is written, until it has been checked."""
