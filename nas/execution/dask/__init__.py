"""Many trials at once, on the GPUs of this machine or of a cluster, through Dask."""
