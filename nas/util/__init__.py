"""Shared by all packages: errors, files, documents, quantities, seeds, devices, command lines."""
