"""The joint network in one import: how it is configured, built, and used."""

from ssdseg_ref.config import LESSON, PRESETS, REFERENCE, SHIPPED, Config, preset
from ssdseg_ref.network import backbone_features, build_network, load_network
from ssdseg_ref.prediction import Prediction, Predictor, segmentation_gate

__all__ = [
    "LESSON",
    "PRESETS",
    "REFERENCE",
    "SHIPPED",
    "Config",
    "Prediction",
    "Predictor",
    "backbone_features",
    "build_network",
    "load_network",
    "preset",
    "segmentation_gate",
]
