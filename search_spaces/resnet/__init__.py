"""From ResNet to ConvNeXt, one step of the roadmap at a time."""
