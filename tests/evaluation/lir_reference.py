"""The results of lir for samples of scores, for test_likelihood.py; run by a Python that has lir (1.3.1).

    PYTHON lir_reference.py > lir.csv

lir (Netherlands Forensic Institute) is a package for likelihood ratios; it is not a dependency of the tests.
"""

import csv
import sys

import numpy as np

AT = (-4.0, -1.0, 0.0, 0.7, 3.0)
COLUMNS = ("intercept", "slope", "low", "high", "cllr", "cllr_min", *(f"isotonic{place:+g}" for place in AT))
# reals, fakes, distance of the means, standard deviation of the fakes; drawn with the seed 0, 1, ...
CASES = ((8, 32, 1.5, 1.0), (128, 256, 2.0, 1.5), (40, 40, 0.2, 1.0), (300, 20, 6.0, 1.0), (25, 60, -1.0, 2.0))


def sample(number):
    """Return labels and logits of case *number*; the logits have two decimals, so that some are equal."""
    reals, fakes, apart, deviation = CASES[number]
    rng = np.random.default_rng(number)
    logits = np.append(rng.normal(-apart / 2, 1.0, reals), rng.normal(apart / 2, deviation, fakes)).round(2)
    return np.repeat([0, 1], [reals, fakes]), logits


def by_lir(labels, logits):
    from lir.algorithms.bayeserror import elub
    from lir.algorithms.isotonic_regression import IsotonicCalibrator
    from lir.algorithms.logistic_regression import LogitCalibrator
    from lir.data.models import LLRData
    from lir.metrics import cllr, cllr_min

    fitted = LogitCalibrator(tol=1e-12, max_iter=10_000).fit(logits, labels)
    llr = fitted.transform(logits)  # base 10
    data = LLRData(features=llr[:, None], labels=labels)
    low, high = elub(llr.copy(), labels)
    steps = IsotonicCalibrator(add_misleading=1).fit(logits, labels).transform(np.array(AT))
    logistic = float(fitted._logit.intercept_[0]), float(fitted._logit.coef_[0, 0])
    return (*logistic, 10**low, 10**high, cllr(data), cllr_min(data), *(steps * np.log(10)).tolist())


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in range(len(CASES)):
        writer.writerow([repr(float(value)) for value in by_lir(*sample(number))])
