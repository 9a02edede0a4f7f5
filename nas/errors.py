"""Errors that a user can mend; every command line prints them as one line."""

EXIT_BAD_INPUT = 2


class UserError(Exception):
    """Something the user gave is wrong.

    The message is one line. It names the flag, key or file and says what would be right.
    """
