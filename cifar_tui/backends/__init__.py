"""What trains queued runs: this program, a process per device, Ray or Slurm."""
