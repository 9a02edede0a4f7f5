"""Depthwise convolutions: one layer and one function, several ways to compute them, a rule between these.

``layer`` holds the module that replaces a network's, ``rule`` says which way computes which shape,
``agreement`` compares the ways with the libraries' before they are used, and ``ways`` tells what a way is.
``library``, ``as_forward``, ``matmul`` and ``triton_way`` are ways.
"""
