"""Data sets: the drawn Warehouse, readers for COCO and for triples of files, augmentation, the input pipeline."""

from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample

__all__ = ["BACKGROUND", "IGNORE", "Sample"]
