"""Who trains: this program, a process per device, or a cluster."""
