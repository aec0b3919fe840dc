import numpy as np
import pytest
from fvcore.transforms.transform import NoOpTransform

from detectron2.data import transforms as T
from tests.facts import golden

ARRAYS = golden("transforms")
IMAGE, SEG, BOXES, COORDS, ROTATED = (ARRAYS[k] for k in ("image", "seg", "boxes", "coords", "rboxes"))
TRANSFORMS = {
    "hflip": T.HFlipTransform(80),
    "vflip": T.VFlipTransform(60),
    "resize_bilinear_45x101": T.ResizeTransform(60, 80, 45, 101),
    "resize_up_150x200": T.ResizeTransform(60, 80, 150, 200),
    "resize_nearest": T.ResizeTransform(60, 80, 33, 47, 0),
    "resize_bicubic": T.ResizeTransform(60, 80, 90, 120, 3),
    "crop_10_5_40_30": T.CropTransform(10, 5, 40, 30),
    "crop_orig": T.CropTransform(10, 5, 40, 30, 80, 60),
    "extent": T.ExtentTransform((5, -3, 60, 55), (50, 64)),
    "noop": NoOpTransform(),
    "blend": T.BlendTransform(100.0, 0.3, 0.7),
    "rot30": T.RotationTransform(60, 80, 30),
    "rot30_noexpand": T.RotationTransform(60, 80, 30, expand=False),
    "rot45_center": T.RotationTransform(60, 80, -45, center=(20, 30)),
    "rot90": T.RotationTransform(60, 80, 90),
    "rot0": T.RotationTransform(60, 80, 0),
    "rot_nearest": T.RotationTransform(60, 80, 17, interp=0),
}


def close_images(first, second):
    assert first.shape == second.shape and first.dtype == second.dtype
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1


@pytest.mark.parametrize("name", TRANSFORMS)
def test_golden(name):
    transform = TRANSFORMS[name]
    close_images(transform.apply_image(IMAGE), ARRAYS[f"{name}/image"])
    labels = transform.apply_segmentation(SEG)
    # Rotated pixel centres that fall between two pixels may go to either.
    assert (labels != ARRAYS[f"{name}/seg"]).mean() <= (0.005 if name.startswith("rot") else 0)
    np.testing.assert_allclose(transform.apply_coords(COORDS.copy()), ARRAYS[f"{name}/coords"], atol=1e-5)
    np.testing.assert_allclose(transform.apply_box(BOXES.copy()), ARRAYS[f"{name}/boxes"], atol=1e-5)


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if f"{n}/inverse_coords" in ARRAYS])
def test_inverse(name):
    back = TRANSFORMS[name].inverse()
    np.testing.assert_allclose(
        back.apply_coords(TRANSFORMS[name].apply_coords(COORDS.copy())), ARRAYS[f"{name}/inverse_coords"], atol=1e-5
    )


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if not name.startswith("crop")])  # see test_polygon_clip
def test_polygons(name):
    (moved,) = TRANSFORMS[name].apply_polygons([ARRAYS["noop/poly"].copy()])
    np.testing.assert_allclose(moved, ARRAYS[f"{name}/poly"], atol=1e-5)


@pytest.mark.parametrize("name", ["hflip", "resize_bilinear_45x101"])
def test_rotated_boxes(name):
    moved = TRANSFORMS[name].apply_rotated_box(ROTATED.copy())
    np.testing.assert_allclose(moved, ARRAYS[f"{name}/rotated"], atol=1e-4)


def test_float_images_are_resized():
    float_image = ARRAYS["image"].astype(np.float32)
    resized = T.ResizeTransform(60, 80, 45, 101).apply_image(float_image)
    assert resized.shape == (45, 101, 3) and resized.dtype == np.float32
    batch = T.ResizeTransform(60, 80, 45, 101).apply_image(np.stack([float_image, float_image]))
    np.testing.assert_array_equal(batch[1], resized)
    flipped = T.ResizeTransform(60, 80, 45, 101).apply_image(float_image[:, ::-1, 0])
    np.testing.assert_allclose(flipped[:, ::-1], resized[..., 0], atol=1e-3)


@pytest.mark.parametrize(
    "transform",
    [T.ResizeTransform(60, 80, 30, 40), T.ExtentTransform((0, 0, 40, 30), (30, 40)), T.RotationTransform(60, 80, 10)],
)
def test_single_channel_keeps_its_dimension(transform):
    assert transform.apply_image(IMAGE[:, :, :1]).ndim == 3
    assert transform.apply_image(IMAGE[:, :, 0]).ndim == 2


def test_errors_name_the_reason():
    with pytest.raises(ValueError, match="60x80"):
        T.ResizeTransform(60, 80, 30, 40).apply_image(IMAGE[:50])
    with pytest.raises(ValueError, match="60x80"):
        T.RotationTransform(60, 80, 30).apply_image(IMAGE[:50])
    with pytest.raises(ValueError, match="uint8"):
        T.ResizeTransform(60, 80, 30, 40, 1).apply_image(IMAGE.astype(np.float32))
    with pytest.raises(NotImplementedError, match="no inverse"):
        TRANSFORMS["rot30_noexpand"].inverse()
    with pytest.raises(ValueError, match="callable"):
        T.ColorTransform(3)


def test_colour_transforms_change_values_only():
    from PIL import ImageOps

    inverted = T.PILColorTransform(ImageOps.invert)
    np.testing.assert_array_equal(inverted.apply_image(IMAGE), 255 - IMAGE)
    np.testing.assert_array_equal(inverted.apply_coords(COORDS), COORDS)
    np.testing.assert_array_equal(inverted.apply_segmentation(SEG), SEG)
    np.testing.assert_array_equal(T.ColorTransform(lambda x: x // 2).apply_image(IMAGE), IMAGE // 2)
