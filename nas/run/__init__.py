"""The record of a run: its folder, the journal and what the journal amounts to."""
