"""The tables of the ablations, each from the record's sections by model."""
# Source: OTCache, Tables 4 to 6, Fig. 8 and 10, whose columns they have.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.instruments.numbers import Row, ratio_interval
from benchmarks.instruments.rankings import gains, middle_and_late
from benchmarks.pages.tables import markdown_table

MEANCACHE, OTHERS = "MeanCache", ("uniform", "random")
WAYS = {"paper": "the paper's", "standard": "the pack's"}
FEW = (3, 5)

Results = dict[str, Any]


def search_table(results: Results) -> str:
    """Table 4: what is found for each prompt and seed, and what MeanCache's path has there."""
    columns = ("model", "rank:", "MeanCache:", "search:", "gain of the means:",
               "mean of the gains:")  # fmt: skip
    rows = []
    for name, section in results["models"].items():
        searches = section["searches"][MEANCACHE]
        before = searches["start"]
        for rank, after in enumerate(_ranked(searches["best"]), 1):
            means, mean = gains(before[: len(after)], after)
            rows.append((
                f"`{name}`", f"Top-{rank}", f"{np.mean(before):.4f}", f"{np.mean(after):.4f}",
                f"{100 * means:.1f} %", f"{100 * mean:.1f} %",
            ))  # fmt: skip
    return markdown_table(columns, rows)


def _ranked(best: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """Losses of all pairs by rank, as many ranks as every pair has."""
    return list(zip(*(of[: min(map(len, best))] for of in best), strict=True))


def trials_table(results: Results) -> str:
    """Fig. 8: after how many trials the best were found; median and 90 % quantile over pairs."""
    kinds: list[tuple[str, Callable[[Sequence[int]], int]]] = [("the best:", lambda of: of[0])]
    kinds += [(f"one of the best {n}:", lambda of, n=n: min(of[:n])) for n in FEW]  # type: ignore[misc]
    kinds += [(f"all of the best {n}:", lambda of, n=n: max(of[:n])) for n in FEW]  # type: ignore[misc]
    rows = []
    for name, section in results["models"].items():
        searches = section["searches"][MEANCACHE]
        shown = [searches["trials"], *([at(of) for of in searches["found_at"]] for _, at in kinds)]
        rows.append((f"`{name}`", *("{:g} / {:g}".format(*middle_and_late(of)) for of in shown)))
    return markdown_table(("model", "the search ends:", *(name for name, _ in kinds)), rows)


def starts_table(results: Results) -> str:
    """Fig. 10: mean LPIPS of the best five, by where the search started."""
    kinds = (MEANCACHE, *OTHERS)
    columns = ("model", *(f"{kind}:" for kind in kinds),
               *(f"MeanCache's over {kind}'s:" for kind in OTHERS))  # fmt: skip
    rows = []
    for name, section in results["models"].items():
        searches = section["searches"]
        found = {kind: np.array([np.mean(of) for of in searches[kind]["best"]]) for kind in kinds}
        means = {kind: float(of.mean()) for kind, of in found.items()}
        least = min(means.values())
        rows.append((
            f"`{name}`",
            *(_bold(f"{means[kind]:.4f}", means[kind] == least)
              + f" from {np.mean(searches[kind]['start']):.4f}" for kind in kinds),
            *("{:.2f} ({:.2f} to {:.2f})".format(*ratio_interval(found[MEANCACHE], found[kind]))
              for kind in OTHERS),
        ))  # fmt: skip
    return markdown_table(columns, rows)


def rho_table(results: Results) -> str:
    """Table 5: predictions by rho."""
    rows = []
    rhos: list[float] = []
    for name, section in results["models"].items():
        for way, whose in WAYS.items():
            for budget in sorted({row["budget"] for row in section[f"{way}_rho"]}):
                listed = [row for row in section[f"{way}_rho"] if row["budget"] == budget]
                rhos = rhos or [row["rho"] for row in listed]
                rows.append((f"`{name}`", whose, str(budget), *_cells(listed)))
    columns = ("model", "whose anchor", "calls:", *(f"rho {rho:g}:" for rho in rhos))
    return markdown_table(columns, rows)


def anchor_table(results: Results) -> str:
    """Table 6: predictions at one budget by the anchor's."""
    columns = ("model", "whose anchor", *(f"anchor at {b} calls:" for b in (8, 6, 4)))
    rows = []
    for name, section in results["models"].items():
        for way, whose in WAYS.items():
            listed = section[f"{way}_anchor"]
            if len(listed) > 1:
                rows.append((f"`{name}`", whose, *_cells(listed)))
    return markdown_table(columns, rows)


def _cells(listed: Iterable[Row]) -> list[str]:
    """LPIPS with its interval, PSNR and SSIM; marked where the paired ratio's interval leaves 1."""
    rows = list(listed)
    least = min(row["lpips"] for row in rows)
    return [
        f"{_bold(format(row['lpips'], '.4f'), row['lpips'] == least)}{_mark(row)} "
        f"({row['lpips_low']:.4f} to {row['lpips_high']:.4f}), {row['psnr']:.2f}, {row['ssim']:.3f}"
        for row in rows
    ]


def _mark(row: Row) -> str:
    _, low, high = row["over_papers_choice"]
    return " +" if low > 1.0 else " -" if high < 1.0 else ""


def _bold(text: str, yes: bool) -> str:
    return f"**{text}**" if yes else text


TABLES: dict[str, Callable[[Results], str]] = {
    "ablations-search": search_table,
    "ablations-trials": trials_table,
    "ablations-starts": starts_table,
    "ablations-rho": rho_table,
    "ablations-anchor": anchor_table,
}
