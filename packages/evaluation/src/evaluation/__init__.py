"""Scores of a deepfake detector in, judgement out: metrics with intervals, image fidelity, tables, figures, one page.

Nothing is imported here, so ``from evaluation.metrics import auc`` costs NumPy and no more.
"""
