"""Image files, through ``read_image`` and the loaders."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from detectron2.data import build_detection_test_loader, build_detection_train_loader
from detectron2.data.detection_utils import SizeMismatchError, read_image
from tests.test_bad_inputs.material import HEIGHT, WIDTH, coco, image, picture


def encoded(img, kind="PNG", **options):
    file = io.BytesIO()
    img.save(file, kind, **options)
    return file.getvalue()


def with_orientation(number, height=HEIGHT, width=WIDTH):
    exif = Image.Exif()
    exif[274] = number
    return encoded(picture(height, width), "JPEG", exif=exif, quality=100)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb():
    """A PNG of a hundred bytes that says it has 10 ** 10 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def flipped_bit(data):
    return data[:100] + bytes([data[100] ^ 0xFF]) + data[101:]


DEEP = Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH))
FLOAT = Image.fromarray(np.random.default_rng(0).random((HEIGHT, WIDTH), dtype=np.float32))

UNREADABLE = {
    "missing": (None, FileNotFoundError, "No such file"),
    "empty": (b"", OSError, "cannot read image"),
    "text": (b"hello", OSError, "cannot read image"),
    "truncated png": (encoded(picture())[:600], OSError, "cannot read image.*truncated"),
    "truncated jpeg": (encoded(picture(), "JPEG")[:900], OSError, "cannot read image.*(?i:truncated)"),
    "damaged png": (flipped_bit(encoded(picture())), OSError, "cannot read image"),
    "decompression bomb": (bomb(), OSError, "cannot read image.*10000000000 pixels"),
    "16 bits": (encoded(DEEP), ValueError, "mode I;16 holds more than 8 bits.*convert the file to 8 bits"),
    "float": (encoded(FLOAT, "TIFF"), ValueError, "mode F holds more than 8 bits"),
    "other size": (encoded(picture(10, 20)), SizeMismatchError, "is 20x10 pixels.*its annotation says 50x40"),
    "swapped size": (encoded(picture(WIDTH, HEIGHT)), SizeMismatchError, "is 40x50 pixels.*swapped values"),
    "turned by EXIF": (with_orientation(6), SizeMismatchError, "is 40x50 pixels.*EXIF orientation"),
}


# A process of its own for one error of each kind is enough.
IN_WORKER = [("truncated png", "worker"), ("other size", "worker")]


@pytest.mark.parametrize("case, loader", [*itertools.product(UNREADABLE, ("train", "test")), *IN_WORKER])
def test_loaders_name_the_file(case, loader, dataset, tmp_path):
    data, kind, message = UNREADABLE[case]
    path = dataset.images / "spoilt.png"
    if data is not None:
        path.write_bytes(data)
    dataset.write(coco(images=[image(file_name=path.name)]))
    cfg = dataset.config(tmp_path / "out")
    name = dataset.register()
    cfg.DATALOADER.NUM_WORKERS = int(loader == "worker")
    batches = build_detection_test_loader(cfg, name) if loader == "test" else build_detection_train_loader(cfg)
    with pytest.raises(kind, match=f"(?s){message}") as error:
        next(iter(batches))
    assert str(path) in str(error.value)


READABLE = {
    "grey jpeg": encoded(picture().convert("L"), "JPEG"),
    "black and white": encoded(picture().convert("1")),
    "grey with alpha": encoded(picture().convert("LA")),
    "alpha": encoded(picture().convert("RGBA")),
    "palette": encoded(picture().convert("P")),
    "CMYK": encoded(picture().convert("CMYK"), "JPEG"),
    "gif under the name of a png": encoded(picture(), "GIF"),
    "EXIF orientation 6": with_orientation(6, WIDTH, HEIGHT),
    "EXIF orientation 99": with_orientation(99),
    "broken EXIF": encoded(picture(), "JPEG", exif=b"Exif\x00\x00garbage!"),
}


@pytest.mark.parametrize("case", READABLE)
def test_odd_images_train_in_three_channels(case, dataset, tmp_path):
    (dataset.images / "a.png").write_bytes(READABLE[case])
    cfg = dataset.config(tmp_path / "out")
    cfg.INPUT.MIN_SIZE_TRAIN = (HEIGHT,)
    dataset.register()
    ((sample,),) = [next(iter(build_detection_train_loader(cfg)))]
    assert sample["image"].shape == (3, HEIGHT, WIDTH)


def test_exif_orientation_turns_the_pixels(tmp_path):
    (tmp_path / "turned.jpg").write_bytes(with_orientation(6, WIDTH, HEIGHT))
    plain = np.asarray(Image.open(tmp_path / "turned.jpg"))
    # orientation 6: the first row of the file is the right-hand side of the picture
    assert np.array_equal(read_image(str(tmp_path / "turned.jpg"), "RGB"), np.rot90(plain, -1))


def test_an_unknown_format_is_named(tmp_path):
    picture().save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: mode RGB cannot be converted to 'XYZ' \(INPUT\.FORMAT\)"):
        read_image(str(tmp_path / "a.png"), "XYZ")
