"""What a person sees of a search: the live view and plain lines."""
