"""What runs a learner's functions beside no answer: taken into the sandbox whole, so nothing here imports an exercise.

Outside, `mine` uses `definitions` as well.
"""
