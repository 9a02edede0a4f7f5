"""The layers between convolutions, computed in as few passes over memory as possible."""
