"""Neural architecture search: space -> config -> network -> trial -> journal -> analysis and export."""

__version__ = "0.2.0"
