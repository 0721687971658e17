"""Grading: a class's submissions, each answer in a sandbox, into nbgrader's gradebook.

What writes the gradebook imports nbgrader, which takes seconds; what `check` and `doctor` need does not.
"""
