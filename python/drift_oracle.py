"""Writes testdata/oracle/stat/drift.json and detector.json: drift statistics on counts by SciPy on the expanded rows and by formula, and
the change detectors of river on short streams. Usage: python drift_oracle.py OUTPUT_FOLDER, with the packages of drift-requirements.txt
(scripts/drift_oracle.sh)."""
import json
import math
import random
import sys
import warnings

import numpy as np
import river
import scipy
import sklearn
from river import drift
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

warnings.simplefilter("ignore")
rng = np.random.default_rng(20261129)


def num(x):
    x = float(x)
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    return x


def nums(xs):
    return [num(x) for x in xs]


def counts_case(name, r, w):
    r, w = np.asarray(r, float), np.asarray(w, float)
    x, y = np.repeat(np.arange(len(r)), r.astype(int)), np.repeat(np.arange(len(w)), w.astype(int))
    p, q = r / r.sum(), w / w.sum()
    both = r + w > 0
    v = {}
    floor = 1e-4
    pf, qf = np.where(p == 0, floor, p), np.where(q == 0, floor, q)
    psi = np.sum(((qf - pf) * np.log(qf / pf))[both])
    v["psi"] = [psi, stats.chi2.sf(psi / (1 / r.sum() + 1 / w.sum()), both.sum() - 1) if both.sum() > 1 else 1]
    ps, qs = (r + .5) / (r.sum() + len(r) / 2), (w + .5) / (w.sum() + len(r) / 2)
    v["kl"] = [stats.entropy(ps, qs)]
    from scipy.spatial import distance
    v["jensen-shannon"] = [distance.jensenshannon(p, q, 2)]
    v["hellinger"] = [np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / math.sqrt(2)]
    v["total-variation"] = [np.abs(p - q).sum() / 2]
    v["l-infinity"] = [np.abs(p - q).max()]
    if both.sum() > 1:
        table = np.array([r, w])[:, both]
        for name_, lam in (("chi-squared", "pearson"), ("g", "log-likelihood")):
            c = stats.chi2_contingency(table, correction=False, lambda_=lam)
            v[name_] = [c.statistic, c.pvalue]
        a = stats.anderson_ksamp([x, y], variant="midrank")
        v["anderson-darling"] = [a.statistic, a.pvalue]
    ks = stats.ks_2samp(x, y, method="asymp")
    v["ks"] = [ks.statistic, ks.pvalue]
    cvm = stats.cramervonmises_2samp(x, y, method="asymptotic")
    v["cramer-von-mises"] = [cvm.statistic, cvm.pvalue]
    mw = stats.mannwhitneyu(x, y, method="asymptotic")
    v["mann-whitney"] = [mw.statistic, mw.pvalue]
    v["cliff"] = [abs(2 * mw.statistic / (r.sum() * w.sum()) - 1)]
    return {"id": name, "fn": "counts", "args": {"reference": nums(r), "window": nums(w)},
            "value": {k: nums(x) for k, x in v.items()}}


def edges_case(name, upper, scale, r, w):
    """Distances with the distribution functions straight within a cell, by adaptive integration on the winsorised edges."""
    from scipy.integrate import quad
    r, w, u = np.asarray(r, float), np.asarray(w, float), np.asarray(upper, float)
    pts = u.copy()
    pts[0], pts[-1] = max(pts[0], pts[1] - 3 * scale), min(pts[-1], pts[-2] + 3 * scale)
    F, G = np.cumsum(r)[:-1] / r.sum(), np.cumsum(w)[:-1] / w.sum()
    d = lambda t: np.interp(t, pts, F) - np.interp(t, pts, G)
    w1 = e = 0.0
    for a, b in zip(pts[:-1], pts[1:]):
        da, db = d(a), d(b)
        knots = [a + (b - a) * da / (da - db)] if da * db < 0 else None
        w1 += quad(lambda t: abs(d(t)), a, b, points=knots, epsabs=1e-13)[0]
        e += quad(lambda t: d(t) ** 2, a, b, epsabs=1e-13)[0]
    return {"id": name, "fn": "edges", "args": {"upper": nums(u), "scale": scale, "reference": nums(r), "window": nums(w)},
            "value": {"wasserstein": [num(w1 / scale)], "energy": [num(math.sqrt(2 * e / scale))]}}


def km_case(name, t, d):
    c = stats.CensoredData(uncensored=t[d], right=t[~d])
    e = stats.ecdf(c)
    ci = e.sf.confidence_interval(0.95, method="log-log")
    return {"id": name, "fn": "delay", "args": {"age": nums(t), "arrived": d.tolist()},
            "value": {"at": nums(e.sf.quantiles), "coverage": nums(1 - e.sf.probabilities),
                      "lo": nums(1 - ci.high.probabilities), "hi": nums(1 - ci.low.probabilities)}}


def pca_case(name, ref, cur):
    mean = np.nanmean(ref, axis=0)
    fill = lambda a: np.where(np.isnan(a), mean, a)
    sc = StandardScaler().fit(fill(ref))
    p = PCA(n_components=0.65, svd_solver="full").fit(sc.transform(fill(ref)))

    def err(a):
        z = sc.transform(fill(a))
        return np.linalg.norm(z - p.inverse_transform(p.transform(z)), axis=1)
    return {"id": name, "fn": "pca", "args": {"columns": ref.shape[1], "reference": nums(ref.ravel()), "window": nums(cur.ravel())},
            "value": {"components": int(p.n_components_), "reference": [num(err(ref).mean())], "window": nums(err(cur))}}


cases = []
base = rng.multinomial(5000, np.ones(30) / 30)
cases.append(counts_case("same", base, rng.multinomial(500, np.ones(30) / 30)))
p = np.linspace(1, 2, 30)
cases.append(counts_case("tilted", base, rng.multinomial(800, p / p.sum())))
cases.append(counts_case("unseen in reference", [100, 50, 25, 0], [90, 40, 20, 9]))
cases.append(counts_case("gone from window", [100, 50, 25, 7, 3], [90, 40, 20, 0, 0]))
cases.append(counts_case("empty in both", [10, 0, 20, 0], [12, 0, 9, 0]))
cases.append(counts_case("disjoint", [40, 10, 0, 0], [0, 0, 8, 22]))
cases.append(counts_case("two", [400, 20], [300, 31]))
cases.append(counts_case("equal", [30, 40, 50], [30, 40, 50]))
cases.append(counts_case("one cell", [30], [40]))
for i in range(6):
    k = int(rng.integers(2, 12))
    cases.append(counts_case(f"random {i}", rng.integers(0, 60, k) + 1, rng.integers(0, 30, k) + (np.arange(k) == 0)))
for i in range(4):
    u = np.sort(rng.normal(size=9))
    if i == 3:
        u[-1], u[0] = 1e4, -300
    cases.append(edges_case(f"edges {i}", u, 1.1, np.r_[0, rng.integers(1, 90, 8), 0], rng.integers(0, 40, 10)))
t = np.round(rng.exponential(10, 60), 0) + 1
c = np.round(rng.uniform(1, 25, 60), 0)
cases.append(km_case("ties", np.minimum(t, c), t <= c))
t, c = rng.exponential(5, 40), rng.exponential(20, 40)
cases.append(km_case("distinct", np.minimum(t, c), t <= c))
cases.append(km_case("all arrived", np.array([1., 2, 2, 3, 8]), np.ones(5, bool)))
for i, (n, d) in enumerate([(60, 5), (40, 8)]):
    a = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3
    b = rng.normal(size=(12, d)) * 2
    if i:
        a[::7, 2] = np.nan
        b[3, 5] = np.nan
        a[:, 6] = 4
        b[:, 6] = 4
        b[2, 6] = 6
    cases.append(pca_case(f"pca {i}", a, b))
rng.normal(size=(56, 3))  # so that what follows draws as it did

versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
out = sys.argv[1]
json.dump({"header": {"generator": "python/drift_oracle.py: SciPy on expanded rows; formulas for psi, kl, hellinger, total variation, l-infinity; adaptive integration for edges; scikit-learn for pca",
                      "versions": versions, "seed": 20261129, "tolerance": {"rel": 1e-9, "abs": 1e-11}}, "cases": cases},
          open(out + "/drift.json", "w"), indent=1)

cases = []
gen = random.Random(12345)


class Turning:
    """Takes the place of river's generator: the k older values from a place on that moves with every test, so that others can draw the same."""
    def __init__(self):
        self.tests = 0

    def sample(self, population, k):
        n, self.tests = len(population), self.tests + 1
        return [population[(7 * self.tests + j) % n] for j in range(k)]


class KSWIN(drift.KSWIN):
    def __init__(self, **k):
        self.turning = Turning()
        super().__init__(**k)

    def _reset(self):
        super()._reset()
        self._rng = self.turning


def kswin(name, xs, make, fn, **s):
    det, hits, p = make(**s), [], []
    for i, x in enumerate(xs):
        det.update(x)
        p.append(det.p_value if len(det.window) == det.window_size or det.drift_detected else math.nan)
        if det.drift_detected:
            hits.append(i)
    cases.append({"id": f"{fn} {name} {s}", "fn": fn, "args": dict(s, stream=xs), "value": {"at": hits, "p": num(p[-1])}})


def stream(name, xs):
    xs = [float(x) for x in xs]
    for kind, make in (("adwin", lambda **k: drift.ADWIN(**k)), ("page-hinkley", lambda **k: drift.PageHinkley(**k))):
        settings = [{}, {"delta": 0.1, "clock": 1, "max_buckets": 3, "min_window_length": 2, "grace_period": 5}] if kind == "adwin" else [
            {}, {"min_instances": 10, "delta": 0.01, "threshold": 5.0, "alpha": 0.99, "mode": "up"},
            {"min_instances": 10, "threshold": 5.0, "mode": "down"}]
        for j, s in enumerate(settings):
            det, hits, last = make(**s), [], {}
            for i, x in enumerate(xs):
                det.update(x)
                if det.drift_detected:
                    hits.append(i)
            v = {"at": hits}
            if kind == "adwin":
                v.update(width=num(det.width), total=num(det.total), estimation=num(det.estimation), variance=num(det.variance))
            cases.append({"id": f"{kind} {name} {j}", "fn": kind, "args": dict(s, stream=xs), "value": v})
    kswin(name, xs, KSWIN, "kswin")
    kswin(name, xs, KSWIN, "kswin", alpha=0.05, window_size=44, stat_size=17)
    kswin(name, xs, lambda **k: drift.KSWIN(seed=1, **k), "kswin all", alpha=0.01, window_size=50, stat_size=25)  # draws all older values


stream("jump", [round(rng.normal(), 3) for _ in range(400)] + [round(rng.normal(2), 3) for _ in range(300)])
stream("still", [round(rng.normal(), 3) for _ in range(600)])
stream("errors", gen.choices([0, 1], [9, 1], k=500) + gen.choices([0, 1], [6, 4], k=500))
stream("river", gen.choices([0, 1], k=1000) + gen.choices(range(4, 8), k=300))
stream("down", [round(5 - i / 100 + rng.normal() / 5, 3) for i in range(500)])
json.dump({"header": {"generator": "python/drift_oracle.py: river.drift.ADWIN, PageHinkley and KSWIN", "versions": {"river": river.__version__}, "seed": 12345,
                      "tolerance": {"rel": 1e-9, "abs": 1e-9}}, "cases": cases}, open(out + "/detector.json", "w"), separators=(",", ":"))
