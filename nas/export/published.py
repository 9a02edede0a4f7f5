"""Accuracies and image sizes from Table 3 of the NEXcepTion paper, under timm's names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One row of the table.

    Attributes:
        top1: Top-1 on ImageNet-1K, percent, as reported by the paper cited in the table.
        image_size: Height and width of the images, pixels.
    """

    top1: float
    image_size: int


# timm's efficientnet_b2 to _b5 are for other image sizes than in the paper, unlike those named tf_.
TABLE_3 = {
    "tf_efficientnet_b1": Published(79.1, 240),
    "tf_efficientnet_b2": Published(80.1, 260),
    "tf_efficientnet_b3": Published(81.6, 300),
    "resnet50": Published(80.4, 224),
    "tf_efficientnet_b4": Published(82.9, 380),
    "swin_tiny_patch4_window7_224": Published(81.3, 224),
    "nexception_tp": Published(81.8, 224),
    "convnext_tiny": Published(82.1, 224),
    "vit_small_patch16_224": Published(79.8, 224),
    "deit_small_patch16_224": Published(79.8, 224),
    "nexception_t": Published(81.5, 224),
    "resnet101": Published(81.5, 224),
    "legacy_xception": Published(79.0, 299),
    "nexception_s": Published(82.0, 224),
    "swin_small_patch4_window7_224": Published(83.0, 224),
    "convnext_small": Published(83.1, 224),
    "tf_efficientnetv2_s": Published(83.9, 384),
    "tf_efficientnet_b5": Published(83.6, 456),
}
