"""Real kills: the real platform under load, and what production does to it. See `__main__` and `run`."""
