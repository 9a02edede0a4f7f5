"""Networks: one parametrised family from the reduced proxy to the full-size models."""
