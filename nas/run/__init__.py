"""The record of a run: its folder, the journal, and the state that the journal gives."""
