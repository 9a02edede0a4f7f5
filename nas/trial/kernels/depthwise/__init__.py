"""Depthwise convolutions: one layer and one function, several implementations, and a rule to choose one.

``layer`` holds the module that replaces a network's, ``rule`` says which implementation ("way") computes
which shape, ``agreement`` compares the ways with the libraries before they are used, and ``ways`` is their
protocol. The ways are ``library``, ``as_forward``, ``matmul`` and ``triton_way``.
"""
