"""Our side of DeepCAVE: runs on Python 3.10 in DeepCAVE's own environment."""
