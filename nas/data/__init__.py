"""Images: sources, the stratified split, and augmentation on the device."""
