"""Depthwise convolutions: one layer and one function, several implementations, and a rule to choose one.

``layer`` holds the module that replaces a network's, ``rule`` says which implementation computes which
shape, ``agreement`` compares them with the libraries before they are used, and ``implementations`` is their
protocol. They are ``library``, ``as_forward``, ``matmul`` and ``triton_implementation``.
"""
