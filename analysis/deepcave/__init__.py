"""DeepCAVE: its own environment, what it reads of a run, and its evaluators' answers."""
