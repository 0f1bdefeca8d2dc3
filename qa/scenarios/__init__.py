"""What an administrator relies on, played on two real clusters: one scenario a file.

Each says what it proved, a line as it goes; the first thing that is not so ends it with an
AssertionError that shows how matters stand.
"""
