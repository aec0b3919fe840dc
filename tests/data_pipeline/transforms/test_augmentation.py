import numpy as np
import pytest

from detectron2.data import transforms as T
from tests.facts import golden, golden_json

ARRAYS, META = golden("transforms"), golden_json("transforms")["augmentations"]
AUGMENTATIONS = {
    "ResizeShortestEdge_50_70_max90_choice": T.ResizeShortestEdge([50, 60, 70], 90, "choice"),
    "ResizeShortestEdge_range": T.ResizeShortestEdge([50, 70], 90),
    "RandomFlip": T.RandomFlip(),
    "RandomFlip_v": T.RandomFlip(prob=1.0, horizontal=False, vertical=True),
    "RandomCrop_rel": T.RandomCrop("relative", (0.5, 0.6)),
    "RandomCrop_relrange": T.RandomCrop("relative_range", (0.5, 0.6)),
    "RandomCrop_abs": T.RandomCrop("absolute", (30, 100)),
    "RandomCrop_absrange": T.RandomCrop("absolute_range", (20, 40)),
    "RandomBrightness": T.RandomBrightness(0.5, 1.5),
    "RandomContrast": T.RandomContrast(0.5, 1.5),
    "RandomSaturation": T.RandomSaturation(0.5, 1.5),
    "RandomLighting": T.RandomLighting(0.1),
    "RandomRotation": T.RandomRotation([-30, 30], center=[(0.4, 0.4), (0.6, 0.6)]),
    "RandomRotation_choice": T.RandomRotation([0, 90], sample_style="choice"),
    "RandomExtent": T.RandomExtent((0.5, 1.5), (0.2, 0.2)),
    "ResizeScale": T.ResizeScale(0.5, 2.0, 48, 64),
    "FixedSizeCrop": T.FixedSizeCrop((64, 50)),
    "RandomApply": T.RandomApply(T.RandomFlip(prob=1.0), 0.5),
    "RandomResize": T.RandomResize([(30, 40), (50, 60)]),
    "Resize": T.Resize((33, 44)),
    "MinIoURandomCrop": T.MinIoURandomCrop(),
    "LSJ": T.AugmentationList([T.ResizeScale(0.1, 2.0, 64, 64), T.FixedSizeCrop((64, 64)), T.RandomFlip()]),
}


def augmented(augmentation, seed, with_labels=True):
    np.random.seed(seed)
    given = T.AugInput(
        ARRAYS["image"].copy(),
        boxes=ARRAYS["boxes"].copy(),
        sem_seg=ARRAYS["seg"].copy() if with_labels else None,
    )
    return given, augmentation(given)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_golden(name, seed):
    prefix = f"aug/{name}/{seed}"
    given, transform = augmented(AUGMENTATIONS[name], seed, f"{prefix}/seg" in ARRAYS)
    assert np.random.rand() == META[f"{name}/{seed}"]["next_np_random"], "another number of random draws"
    expected = ARRAYS[f"{prefix}/image"]
    assert given.image.shape == expected.shape
    assert np.abs(given.image.astype(int) - expected.astype(int)).max() <= 1
    np.testing.assert_allclose(given.boxes, ARRAYS[f"{prefix}/boxes"], atol=1e-4)
    if given.sem_seg is not None:
        # Rotated pixel centres that fall between two pixels may go to either.
        assert (given.sem_seg != ARRAYS[f"{prefix}/seg"]).mean() <= (0.005 if "Rotation" in name else 0)
    kinds = [type(t).__name__ for t in (transform if isinstance(transform, T.TransformList) else [transform])]
    assert kinds == META[f"{name}/{seed}"]["transforms"]


def test_list_returns_what_was_applied():
    image = ARRAYS["image"]
    result, transforms = T.apply_augmentations([T.Resize(40), T.RandomFlip(prob=1.0), T.VFlipTransform(40)], image)
    np.testing.assert_array_equal(result, transforms.apply_image(image))
    assert result.shape == (40, 40, 3) and len(transforms) == 3


def test_inputs_are_chosen_by_parameter_name():
    class NeedsDepth(T.Augmentation):
        def get_transform(self, image, depth):
            return T.HFlipTransform(depth)

    given = T.AugInput(ARRAYS["image"])
    with pytest.raises(AttributeError, match="NeedsDepth needs the input 'depth'"):
        NeedsDepth()(given)
    given.depth = 80
    assert NeedsDepth()(given).width == 80


def test_subclass_helpers():
    class Mine(T.TransformGen):
        def __init__(self, low, high=3):
            super().__init__()
            self._init(locals())

        def get_transform(self, img):
            return T.NoOpTransform()

    assert (Mine(1).low, Mine(1).high) == (1, 3)
    assert 1 <= Mine(1)._rand_range(1, 3) < 3
    assert Mine(1)._rand_range(size=(4,)).shape == (4,)
    assert repr(T.Resize((3, 4))) == "Resize(shape=(3, 4))"


@pytest.mark.parametrize("image", [ARRAYS["image"].astype(np.int64), [[1]], ARRAYS["image"][None]])
def test_wrong_images_are_refused(image):
    with pytest.raises((TypeError, ValueError), match="augmentations need"):
        T.AugInput(image)


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: T.RandomCrop("half", (1, 1)), "crop_type"),
        (lambda: T.ResizeShortestEdge([1, 2, 3], sample_style="range"), "two values"),
        (lambda: T.ResizeShortestEdge(3, sample_style="any"), "'range' or 'choice'"),
        (lambda: T.RandomFlip(horizontal=True, vertical=True), "one of horizontal"),
        (lambda: T.RandomApply(T.Resize(3), 2), "0..1"),
        (lambda: T.RandomCrop("absolute_range", (9, 3)).get_crop_size((20, 20)), "interval"),
        (lambda: T.RandomSaturation(1, 1).get_transform(np.zeros((2, 2, 1))), "RGB"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_crop_constrained_by_class_area():
    labels = np.zeros((60, 80), dtype=np.uint8)
    labels[:, 40:] = 1
    np.random.seed(0)
    augmentation = T.RandomCrop_CategoryAreaConstraint("relative", (0.5, 0.5), single_category_max_area=0.8)
    for _ in range(10):
        crop = augmentation.get_transform(ARRAYS["image"], labels)
        share = (crop.apply_segmentation(labels) == 1).mean()
        assert 0.2 <= share <= 0.8


def test_shortest_edge_zero_keeps_the_image():
    assert isinstance(T.ResizeShortestEdge(0).get_transform(ARRAYS["image"]), T.NoOpTransform)
