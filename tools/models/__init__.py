"""Every model trained on the sample with random histories, as one table and a figure of loss curves and matrices.

``python -m tools models`` makes everything; NAME.yaml has the parameters of a model.
"""
