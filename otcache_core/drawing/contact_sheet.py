"""Small images in a labelled grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import OTCacheError
from .canvas import INK, MARGIN, Canvas, Picture, plain, text_width, wrap


def _check_sheet(
    rows: Sequence[tuple[str, Sequence[Picture]]], columns: Sequence[str], scale: int
) -> None:
    if not rows or not columns:
        raise OTCacheError(
            f"a contact sheet needs rows and columns but got {len(rows)} x {len(columns)}"
        )
    if scale < 1:
        raise OTCacheError(f"scale must be 1 or more but got {scale}")
    for label, images in rows:
        if len(images) != len(columns):
            raise OTCacheError(
                f"row {label!r} must have one image for each of {len(columns)} columns "
                f"but has {len(images)}"
            )
        for image in images:
            if (
                image.ndim != 3
                or image.shape[2] != 3
                or image.dtype != np.uint8
                or 0 in image.shape
            ):
                raise OTCacheError(
                    f"images must be (H, W, 3) uint8 but row {label!r} holds {image.shape} "
                    f"{image.dtype}; scale [0, 1] by 255, round, and drop alpha"
                )


def contact_sheet(
    *,
    rows: Sequence[tuple[str, Sequence[Picture]]],
    columns: Sequence[str],
    scale: int = 2,
) -> Picture:
    """Lays small images out in a labelled grid, enlarged without smoothing.

    Args:
        rows: label and images `(H, W, 3)` uint8 of each row, one image per column; cells take the
            largest size, smaller images sit in their middle.
        columns: labels above the grid.
        scale: whole factor by which images are enlarged.

    Raises:
        OTCacheError: there is nothing to show, a row has another number of images than there are
            columns, an image has another layout, or `scale` is not positive.
    """
    _check_sheet(rows, columns, scale)
    images = [image for _, row in rows for image in row]
    cell_height = scale * max(image.shape[0] for image in images)
    cell_width = scale * max(image.shape[1] for image in images)
    label_width = min(200, max(text_width(plain(label), 14) for label, _ in rows))
    left, gap = MARGIN + label_width + (16 if label_width else 0), 8
    headings = [wrap(label, 13, cell_width, 2) for label in columns]
    top = 20 + 17 * max(len(lines) for lines in headings) + 6
    canvas = Canvas(
        left + len(columns) * (cell_width + gap) - gap + MARGIN,
        top + len(rows) * (cell_height + gap) - gap + MARGIN,
    )
    for column, lines in enumerate(headings):
        x = left + column * (cell_width + gap) + cell_width / 2
        canvas.paragraph(x, top - 6 - 17 * len(lines), lines, 13, INK, "ma")
    for row, (label, _) in enumerate(rows):
        lines = wrap(label, 14, label_width, max(1, cell_height // 18))
        y = top + row * (cell_height + gap) + (cell_height - 18 * len(lines)) / 2
        canvas.paragraph(left - 16, y, lines, 14, INK, "ra")
    picture = canvas.finish()
    for index, image in enumerate(images):
        row, column = divmod(index, len(columns))
        large = image.repeat(scale, axis=0).repeat(scale, axis=1)
        y = top + row * (cell_height + gap) + (cell_height - large.shape[0]) // 2
        x = left + column * (cell_width + gap) + (cell_width - large.shape[1]) // 2
        picture[y : y + large.shape[0], x : x + large.shape[1]] = large
    return picture
