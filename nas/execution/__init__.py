"""Where trials run: here, in a process, on a cluster, or in simulated time."""
