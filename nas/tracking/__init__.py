"""A run shown in TensorBoard, Weights & Biases or MLflow: what the journal says, and nothing else."""
