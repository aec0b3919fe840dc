"""Primitives of the visualizer: text, boxes, lines, circles, polygons and bitmaps on a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detectron2.utils.colormap import random_color
from detectron2.utils.generic_mask import GenericMask
from detectron2.utils.vis_image import VisImage


def brighten(color: Any, factor: float) -> tuple[float, float, float]:
    """``color`` with its lightness scaled by ``1 + factor``, factor in [-1, 1]."""
    import colorsys

    from matplotlib.colors import to_rgb

    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(color))
    return colorsys.hls_to_rgb(hue, min(max(lightness * (1 + factor), 0.0), 1.0), saturation)


class Painter:
    """Draws single shapes on :attr:`output`, in pixels of the picture.

    Args:
        output: the canvas.
        font_size: size of labels in points.
    """

    def __init__(self, output: VisImage, font_size: float) -> None:
        self.output = output
        self._default_font_size = font_size

    def draw_text(
        self,
        text: str,
        position: tuple[float, float],
        *,
        font_size: float | None = None,
        color: Any = "g",
        horizontal_alignment: str = "center",
        rotation: float = 0,
    ) -> VisImage:
        """Writes ``text`` with its top at ``position`` (x, y); ``rotation`` in degrees."""
        from matplotlib.colors import to_rgb

        rgb = np.maximum(to_rgb(color), 0.2)
        # A bright strongest channel stays legible on the dark label box.
        rgb[np.argmax(rgb)] = max(0.8, rgb.max())
        self.output.ax.text(
            *position,
            text,
            size=(font_size or self._default_font_size) * self.output.scale,
            family="sans-serif",
            bbox={"facecolor": "black", "alpha": 0.8, "pad": 0.7, "edgecolor": "none"},
            verticalalignment="top",
            horizontalalignment=horizontal_alignment,
            color=rgb,
            zorder=10,
            rotation=rotation,
        )
        return self.output

    def draw_box(
        self, box_coord: Sequence[float], alpha: float = 0.5, edge_color: Any = "g", line_style: str = "-"
    ) -> VisImage:
        """Draws the outline of a box ``(x0, y0, x1, y1)``."""
        from matplotlib.patches import Rectangle

        x0, y0, x1, y1 = (float(v) for v in box_coord)
        self.output.ax.add_patch(
            Rectangle(
                (x0, y0),
                x1 - x0,
                y1 - y0,
                fill=False,
                edgecolor=edge_color,
                linewidth=self._line_width() * self.output.scale,
                alpha=alpha,
                linestyle=line_style,
            )
        )
        return self.output

    def draw_rotated_box_with_label(
        self,
        rotated_box: Sequence[float],
        alpha: float = 0.5,
        edge_color: Any = "g",
        line_style: str = "-",
        label: str | None = None,
    ) -> VisImage:
        """Draws a rotated box (centre x, y, width, height, angle counter-clockwise in degrees) and its label."""
        x, y, width, height, angle = (float(v) for v in rotated_box)
        sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
        local = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)
        corners = local @ np.array([(cosine, -sine), (sine, cosine)]) + (x, y)
        for side, (start, end) in enumerate(zip(corners, np.roll(corners, -1, axis=0), strict=True)):
            # The upper side of the unrotated box is dashed, so that the orientation shows.
            style = "--" if side == 0 else line_style
            self.draw_line([start[0], end[0]], [start[1], end[1]], color=edge_color, linestyle=style)
        if label is not None:
            self.draw_text(
                label,
                tuple(corners[0]),
                color=brighten(edge_color, 0.7),
                font_size=self._label_font_size(height),
                rotation=angle,
                horizontal_alignment="left",
            )
        return self.output

    def draw_circle(self, circle_coord: Sequence[float], color: Any, radius: float = 3) -> VisImage:
        """Draws a filled circle at (x, y); radius in pixels."""
        from matplotlib.patches import Circle

        self.output.ax.add_patch(Circle(tuple(circle_coord), radius=radius, fill=True, color=color))
        return self.output

    def draw_line(
        self,
        x_data: Sequence[float],
        y_data: Sequence[float],
        color: Any,
        linestyle: str = "-",
        linewidth: float | None = None,
    ) -> VisImage:
        """Draws a line through the points (x_data[i], y_data[i])."""
        from matplotlib.lines import Line2D

        width = linewidth if linewidth is not None else self._line_width()
        self.output.ax.add_line(
            Line2D(list(x_data), list(y_data), linewidth=width * self.output.scale, color=color, linestyle=linestyle)
        )
        return self.output

    def draw_binary_mask(
        self,
        binary_mask: np.ndarray,
        color: Any = None,
        *,
        edge_color: Any = None,
        text: str | None = None,
        alpha: float = 0.5,
        area_threshold: int = 10,
    ) -> VisImage:
        """Fills a bitmap (H, W); ``text`` is written on its parts of at least ``area_threshold`` pixels."""
        from matplotlib.colors import to_rgb

        color = random_color(rgb=True, maximum=1) if color is None else color
        mask = GenericMask(np.asarray(binary_mask), *self.output.img.shape[:2])
        large_enough = mask.area() >= max(area_threshold, 1)
        if large_enough and not mask.has_holes:
            for polygon in mask.polygons:
                self.draw_polygon(polygon.reshape(-1, 2), color, edge_color=edge_color, alpha=alpha)
        elif large_enough:
            fill = np.zeros((*mask.mask.shape, 4), dtype=np.float32)
            fill[..., :3] = to_rgb(color)
            fill[..., 3] = mask.mask * alpha
            self.output.ax.imshow(fill, extent=(0, self.output.width, self.output.height, 0))
        if text is not None and large_enough:
            self._draw_text_in_mask(mask.mask, text, brighten(color, 0.7))
        return self.output

    def draw_soft_mask(
        self, soft_mask: np.ndarray, color: Any = None, *, text: str | None = None, alpha: float = 0.5
    ) -> VisImage:
        """Fills a map (H, W) of values in 0..1 with opacity ``alpha`` times the value."""
        from matplotlib.colors import to_rgb

        color = random_color(rgb=True, maximum=1) if color is None else color
        fill = np.zeros((*soft_mask.shape, 4), dtype=np.float32)
        fill[..., :3] = to_rgb(color)
        fill[..., 3] = soft_mask * alpha
        self.output.ax.imshow(fill, extent=(0, self.output.width, self.output.height, 0))
        if text is not None:
            self._draw_text_in_mask((soft_mask > 0.5).astype(np.uint8), text, brighten(color, 0.7))
        return self.output

    def draw_polygon(self, segment: np.ndarray, color: Any, edge_color: Any = None, alpha: float = 0.5) -> VisImage:
        """Fills a polygon of points (N, 2)."""
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Polygon

        edge_color = (brighten(color, -0.5) if alpha > 0.8 else color) if edge_color is None else edge_color
        self.output.ax.add_patch(
            Polygon(
                segment,
                fill=True,
                facecolor=(*to_rgb(color), alpha),
                edgecolor=(*to_rgb(edge_color), 1),
                linewidth=max(self._default_font_size // 15 * self.output.scale, 1),
            )
        )
        return self.output

    def _line_width(self) -> float:
        return max(self._default_font_size / 4, 1)

    def _label_font_size(self, object_height: float) -> float:
        """Larger text on larger objects, between 0.6 and 1 of the default."""
        share = object_height / (self.output.height * self.output.width) ** 0.5
        return float(np.clip((share - 0.02) / 0.08 + 1, 1.2, 2) * 0.5 * self._default_font_size)

    def _draw_text_in_mask(self, mask: np.ndarray, text: str, color: Any) -> None:
        ys, xs = np.nonzero(mask)
        if len(xs):
            self.draw_text(text, (float(np.median(xs)), float(np.median(ys))), color=color)
