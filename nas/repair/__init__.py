"""A damaged journal, put right."""
