"""``tools/visualize_data.py`` with both sources."""

import numpy as np
import pytest
from PIL import Image

from tools import visualize_data

from .conftest import QUICK_START, Shapes

MASK_RCNN = str(QUICK_START / "mask_rcnn_R_18_FPN_shapes.yaml")


@pytest.mark.parametrize(
    ("source", "config"),
    [("annotation", MASK_RCNN), ("dataloader", MASK_RCNN)]
    + [("dataloader", str(QUICK_START / "retinanet_R_18_FPN_shapes.yaml"))],
)
def test_draws_up_to_the_limit(shapes: Shapes, tmp_path, source, config):
    visualize_data.main(
        ["--config-file", config, "--source", source, "--output-dir", str(tmp_path / "out"), "--limit", "3"]
        + list(shapes.options)
    )
    files = sorted((tmp_path / "out").iterdir())
    assert [f.name[:6] for f in files] == ["00000_", "00001_", "00002_"]
    for file in files:
        picture = Image.open(file).convert("RGB")
        assert picture.size == (96, 64)
        original = Image.open(shapes.root / "train" / file.name[6:]).convert("RGB")
        drawn, plain = np.asarray(picture).astype(int), np.asarray(original).astype(int)
        # as it was or, from the loader, mirrored
        plain = min((plain, plain[:, ::-1]), key=lambda p: abs(drawn - p).mean())
        assert abs(drawn - plain).max() > 30, "nothing was drawn"
        assert abs(drawn - plain).mean() < abs(drawn - plain[..., ::-1]).mean(), "channels are swapped"


def test_annotations_end_with_the_data_set(shapes: Shapes, tmp_path):
    visualize_data.main(
        ["--config-file", MASK_RCNN, "--source", "annotation", "--output-dir", str(tmp_path), *shapes.options]
    )
    assert len(list(tmp_path.iterdir())) == 6
