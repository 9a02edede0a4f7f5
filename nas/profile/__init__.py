"""What networks cost, measured side by side: size, memory, time."""
