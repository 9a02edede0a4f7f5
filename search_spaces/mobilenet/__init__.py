"""Inverted residuals: MobileNetV2, MobileNetV3 and EfficientNet as points of one space."""
