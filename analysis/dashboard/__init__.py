"""DeepCAVE's page for runs, also while they go on."""
