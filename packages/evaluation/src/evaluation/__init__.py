"""Evaluation of a deepfake detector from its scores: metrics with intervals, tables, figures, a self-contained page.

Nothing is imported here, so ``from evaluation.metrics import auc`` costs NumPy and no more.
"""
