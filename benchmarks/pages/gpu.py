"""Tables of the full-size models on a GPU."""

from __future__ import annotations

from typing import Any

from benchmarks.pages.tables import markdown_table

Row = dict[str, Any]

MIB = 2**20
NO_RECORD = "Not measured yet: there is no `records/gpu.json`.\n"


def gpu_table(results: Row) -> str:
    """Full runs and schedules by budget; says so where there is no record."""
    if not results:
        return NO_RECORD
    columns = ("model", "model calls:", "seconds:", "speedup:", "of T/B:", "with VAE decode:",
               "the paper's:", "a skipped step:", "EasyCache's:", "waits added:",
               "extra memory:")  # fmt: skip
    cells = []
    for saved in results.values():
        added = saved["memory"]["extra"] / MIB
        waits = saved["waits"]
        most = f"{waits['computed'][1]} computed, {waits['skipped'][1]} skipped"
        plain = f"{saved['plain']['seconds']:.2f}"
        cells.append((saved["about"]["model"], "50", plain, *["-"] * 8))
        for row in saved["table"]:
            paper = row["paper_whole_speedup"]
            cells.append((
                "", str(row["budget"]), f"{row['seconds']:.2f}", f"{row['speedup']:.2f}x",
                f"{row['share_of_ideal']:.3f}", f"{row['whole_speedup']:.2f}x",
                "-" if paper is None else f"{paper:.2f}x",
                f"{saved['steps']['skipped_device_ms']:.3f} ms",
                f"{saved['easycache']['skipped_device_ms']:.3f} ms",
                f"{most}, {waits['after']} a run", f"{added:.1f} MiB",
            ))  # fmt: skip
    return markdown_table(columns, cells)


def gpu_node_table(results: Row) -> str:
    """The node OTCache before a sampler of 20 steps."""
    if not results:
        return NO_RECORD
    columns = ("model", "20 steps:", "first picture:", "later ones:", "model calls:", "speedup:",
               "the node itself:", "extra memory:")  # fmt: skip
    cells = []
    for saved in results.values():
        node = saved["one node"]
        cells.append((
            saved["about"]["model"], f"{node['plain_seconds']:.2f} s",
            f"{node['first_seconds']:.2f} s", f"{node['seconds']:.2f} s", str(node["computed"]),
            f"{node['plain_seconds'] / node['seconds']:.2f}x",
            f"{1e3 * node['node_seconds']:.0f} ms", f"{node['extra'] / MIB:.1f} MiB",
        ))  # fmt: skip
    return markdown_table(columns, cells)
