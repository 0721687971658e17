"""Figures of the lessons, and what a reader plays with in them."""
