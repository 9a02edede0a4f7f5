"""The search: its settings, loop, plan and predictions."""
