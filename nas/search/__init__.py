"""The search: its settings, its loop, and what it plans and predicts."""
