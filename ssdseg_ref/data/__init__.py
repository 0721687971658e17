"""Data sets: the drawn Warehouse, readers for the usual formats, checks, augmentation, the input pipeline."""

from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample

__all__ = ["BACKGROUND", "IGNORE", "Sample"]
