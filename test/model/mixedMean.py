# The same models by SciPy and statsmodels: reads {name: {shared, values}} from stdin, writes the results.
# REML is computed twice: by statsmodels where no variance is 0, and by the likelihood written out here.
import json
import sys
import warnings

import numpy as np
from scipy import optimize, stats

warnings.simplefilter("ignore")


def design(values, shared):
    d = np.concatenate([np.asarray(row, float) for row in values])
    training = np.concatenate([[s] * len(row) for s, row in enumerate(values)])
    case = np.concatenate([np.arange(len(row)) for row in values]) if shared else np.arange(len(d))
    return d, training, case


def reml(values, shared):
    d, training, case = design(values, shared)
    one = np.ones(len(d))
    by_training = (training[:, None] == training[None, :]).astype(float)
    by_case = (case[:, None] == case[None, :]).astype(float) if shared else np.zeros_like(by_training)

    def fit(ratios):
        v = np.eye(len(d)) + ratios[0] * by_training + ratios[1] * by_case
        inverse = np.linalg.inv(v)
        weight = one @ inverse @ one
        mean = one @ inverse @ d / weight
        rest = (d - mean) @ inverse @ (d - mean) / (len(d) - 1)
        deviance = (len(d) - 1) * np.log(rest) + np.linalg.slogdet(v)[1] + np.log(weight)
        return deviance, mean, rest, np.sqrt(rest / weight)

    bounds = [(0, None), (0, None if shared else 0)]
    starts = [[0.1, 0.1 if shared else 0], [0, 0], [1, 1 if shared else 0]]
    found = min(
        (
            optimize.minimize(
                lambda x: fit(x)[0], start, bounds=bounds, method="L-BFGS-B",
                options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10000},
            )
            for start in starts
        ),
        key=lambda result: result.fun,
    )
    polished = optimize.minimize(
        lambda x: fit(np.abs(x))[0], found.x, method="Nelder-Mead",
        options={"xatol": 1e-12, "fatol": 1e-14, "maxiter": 20000},
    )
    ratios = np.abs(polished.x) if polished.fun <= found.fun else found.x
    if not shared:
        ratios[1] = 0
    _, mean, rest, error = fit(ratios)
    return {
        "mean": mean, "error": error,
        "variances": {"training": ratios[0] * rest, "case": ratios[1] * rest, "rest": rest},
    }


def mixed(values, shared):
    import pandas
    from statsmodels.regression.mixed_linear_model import MixedLM

    d, training, case = design(values, shared)
    frame = pandas.DataFrame({"d": d, "training": training, "case": case, "all": 1})
    if shared:
        parts = {"training": "0 + C(training)", "case": "0 + C(case)"}
        model = MixedLM.from_formula("d ~ 1", groups="all", vc_formula=parts, re_formula="0", data=frame)
    else:
        model = MixedLM.from_formula("d ~ 1", groups="training", data=frame)
    found = model.fit(reml=True, method="powell", xtol=1e-10, ftol=1e-14, maxiter=2000)
    error = found.bse_fe[0]
    if not shared:  # bse_fe adds the doubt about the variances, which counts where sizes differ
        training = float(np.asarray(found.cov_re)[0, 0])
        error = 1 / np.sqrt(sum(1 / (training + found.scale / len(row)) for row in values))
    return {"mean": found.fe_params[0], "error": error}


def main():
    request = json.load(sys.stdin)
    result = {"models": {}, "t": [], "quantile": []}
    for name, table in request["tables"].items():
        values, shared = table["values"], table["shared"]
        if len(values) == 1:
            t, p = stats.ttest_1samp(values[0], 0)
            half = stats.t.ppf(0.975, len(values[0]) - 1) * stats.sem(values[0])
            mean = float(np.mean(values[0]))
            found = {"mean": mean, "error": stats.sem(values[0]), "p": p, "low": mean - half, "high": mean + half}
        else:
            found = reml(values, shared)
            if table["inner"]:
                found["statsmodels"] = mixed(values, shared)
        result["models"][name] = found
    result["t"] = [2 * stats.t.sf(abs(t), df) for t, df in request["t"]]
    result["quantile"] = [stats.t.ppf(p, df) for p, df in request["quantile"]]
    from statsmodels.stats.multitest import multipletests

    result["holm"] = list(multipletests(request["holm"], method="holm")[1])
    json.dump(result, sys.stdout, indent=1, default=float)


main()
