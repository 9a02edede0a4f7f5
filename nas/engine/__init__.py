"""The search loop and the parts it wires: clock, executor, journal, run folder."""
