"""The canvas of the visualizer: a picture with matplotlib axes of the same size on top."""

import numpy as np

from detectron2.utils.file_io import PathManager

__all__ = ["VisImage"]


class VisImage:
    """A picture that can be drawn on.

    Args:
        img: RGB image of shape (H, W, 3), values 0..255.
        scale: size of the output relative to ``img``.

    Attributes:
        fig, ax: matplotlib figure and axes in the pixel coordinates of ``img``.
        width, height: size of ``img`` in pixels.
        scale: as given.
    """

    def __init__(self, img: np.ndarray, scale: float = 1.0) -> None:
        self.img = img
        self.scale = scale
        self.height, self.width = img.shape[:2]
        self._setup_figure(img)

    def _setup_figure(self, img: np.ndarray) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.fig = Figure(frameon=False)
        self.dpi = self.fig.get_dpi()
        # A hundredth of a pixel more keeps rounding from dropping the last row or column.
        self.fig.set_size_inches(
            (self.width * self.scale + 1e-2) / self.dpi, (self.height * self.scale + 1e-2) / self.dpi
        )
        self.canvas = FigureCanvasAgg(self.fig)
        self.ax = self.fig.add_axes((0.0, 0.0, 1.0, 1.0))
        self.ax.axis("off")
        self.reset_image(img)

    def reset_image(self, img: np.ndarray) -> None:
        """Replaces the picture under the drawing; ``img`` is RGB (H, W, 3), 0..255."""
        self.ax.imshow(img.astype("uint8"), extent=(0, self.width, self.height, 0), interpolation="nearest")

    def save(self, filepath: str) -> None:
        """Writes the drawing to ``filepath``; the ending tells the format."""
        with PathManager.open(str(filepath), "wb") as file:
            self.fig.savefig(file, format=str(filepath).rsplit(".", 1)[-1])

    def get_image(self) -> np.ndarray:
        """The drawing as RGB uint8 of shape (H * scale, W * scale, 3)."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
