"""SMAC behind the ask/tell protocol, and the parts it is put together from."""
