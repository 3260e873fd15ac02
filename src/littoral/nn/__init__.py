"""Tensors -> logits. Knows nothing of files, training or data sets."""
