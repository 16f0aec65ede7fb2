"""Queues on Slurm and Ray."""
