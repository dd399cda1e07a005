"""What runs in the processes of a training: Paddle, and the weights.

Each module with a `main` is started by `worker.training.child`, with inherited descriptors.
"""
