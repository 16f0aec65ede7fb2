"""What the program does on an NVIDIA GPU: the same numbers, its speed, and what it leaves unused.

`python -m benchmarks.gpu` runs all parts, each in a process of its own, and prints a table last.
"""
