"""Writes testdata/oracle/stat/betabinomial.json: upper tails of the beta-binomial distribution, summed in 60 digits by mpmath, and held
against scipy.stats.betabinom where its own sum keeps enough digits.

Run: python python/betabinomial_oracle.py
"""

import json
import pathlib

import mpmath
import scipy
from scipy.stats import betabinom

mpmath.mp.dps = 60


def tail(x, n, a, b):
    """P(X >= x) by the recurrence of the probabilities."""
    n, a, b = mpmath.mpf(n), mpmath.mpf(a), mpmath.mpf(b)
    k = mpmath.mpf(x)
    p = mpmath.binomial(n, k) * mpmath.beta(k + a, n - k + b) / mpmath.beta(a, b)
    total = mpmath.mpf(0)
    while k <= n:
        total += p
        if k < n:
            p *= (n - k) / (k + 1) * (k + a) / (n - k - 1 + b)
        k += 1
    return total


cases = []
for n in (1, 7, 100, 5000, 70000):
    for a, b in ((1, 1), (1, 41271), (3, 500), (301.5, 40970), (20000, 21271)):
        mean = n * a / (a + b)
        for x in sorted({0, 1, round(mean / 2), round(mean), round(mean) + 1, round(1.2 * mean) + 3, min(n, round(3 * mean) + 9), n}):
            if x > n:
                continue
            p = float(tail(x, n, a, b))
            if p < 1e-300:
                continue
            if n <= 5000:
                assert abs(betabinom.sf(x - 1, n, a, b) - p) < 1e-8, (x, n, a, b)
            cases.append({"id": f"{x} of {n}, {a}, {b}", "fn": "betabinom.sf", "args": {"x": x, "n": n, "a": a, "b": b}, "value": p})
out = {
    "header": {
        "generator": "python/betabinomial_oracle.py: mpmath, scipy.stats.betabinom",
        "versions": {"mpmath": mpmath.__version__, "scipy": scipy.__version__}, "seed": 0, "tolerance": {"rel": 1e-8, "abs": 0},
    },
    "cases": cases,
}
path = pathlib.Path(__file__).parent.parent / "testdata/oracle/stat/betabinomial.json"
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
