"""What every room may use: errors, files, documents, quantities, seeds, devices, command lines."""
