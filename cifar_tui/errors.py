"""The one exception whose text is meant for the person at the keys."""


class UserError(Exception):
    """One clear sentence: what is wrong, what was expected, what to do; commands exit with 2."""
