"""Many trials in parallel, on the GPUs of this machine or of a cluster, through Dask."""
