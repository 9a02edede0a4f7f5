"""From a configuration to a folder that others can load: sizes, summary, model card, file formats."""
