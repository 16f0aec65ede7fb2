"""The engine: schedule, step, trainer, checkpoints, and the worker thread that runs a queue."""
