"""GPUs, CPUs and the nodes of a cluster, and what trains on them."""
