"""Fine-tuning from the inference format: a head, or the whole network, for classes of one's own.

`run` is the owner, in the command's process: it reads images through the worker's own image
processes, and drives the processes of `process/`, which alone load Paddle: one cuts the head off,
one trains, one writes the model and checks it.
"""
