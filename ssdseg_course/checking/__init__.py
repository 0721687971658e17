"""How an answer is checked: `probe` runs it, `judge` compares what came back, and a `Report` says the result.

The two halves share nothing but plain arrays, so that they can also run in different processes.
"""
