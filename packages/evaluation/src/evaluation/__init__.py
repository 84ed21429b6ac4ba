"""Evaluation of the scores of a deepfake detector: metrics with intervals, tables, figures and one page.

Nothing is imported here, so ``from evaluation.metrics import auc`` costs NumPy and no more.
"""
