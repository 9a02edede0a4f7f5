"""From a configuration to a folder that timm can load: sizes, summary, model card, file formats."""
