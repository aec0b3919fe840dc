"""A report in which every section has something, with names that markup would trip over."""

import math
import struct
import zlib

from third_party.quantization.report import (
    ApRow,
    ApTable,
    Audit,
    Balance,
    Candidate,
    ClassAp,
    Confidence,
    ConfidenceRow,
    Curve,
    CurvePoint,
    DomainRow,
    FileSize,
    Finding,
    Histogram,
    Latency,
    LayerRow,
    LayerSqnr,
    Parity,
    ParityTensor,
    PicturePair,
    RangeRow,
    Report,
    Search,
    Sensitivity,
    SensitivityRow,
    Sizes,
    SliceRow,
)

NASTY = "<script>alert('a & \"b\"')</script>"


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bell(name: str, spread: float, bottom: float, top: float) -> Histogram:
    """A histogram of 64 bins around zero."""
    counts = tuple(1e5 * math.exp(-(((index - 31.5) / 8) ** 2)) for index in range(64))
    return Histogram(name, -4 * spread, spread / 8, counts, bottom, top)


def full_report() -> Report:
    """All sections."""
    layers = [f"backbone.bottom_up.stage{i // 8}.block{i % 8}.conv" for i in range(40)]
    return Report(
        title=f"RetinaNet, W8A8 {NASTY}",
        facts={
            "Architecture": "RetinaNet",
            "Weights": "runs/model_final.pth",
            "Calibrated on": "bccd_train, 128 images",
        },
        warnings=(f"The calibration set lacks classes: {NASTY}", "stem.conv1 loses most of what is lost"),
        accuracy=(
            ApTable(
                (
                    ApRow("float", {"AP": 61.374, "AP50": 88.12, "APs": None}),
                    ApRow("quantized", {"AP": 60.981, "AP50": 87.91, "APs": math.nan}),
                    ApRow("onnxruntime", {"AP": 58.25, "AP50": 87.9, "APs": 12.5}),
                ),
                dataset="bccd_val",
                images=73,
            ),
        ),
        classes=(ClassAp(NASTY, 71.23, 70.01), ClassAp("RBC & WBC", 50.5, None), ClassAp("Platelets", 40.0, 37.25)),
        confidence=Confidence(
            (ConfidenceRow(0.5, 0.91, 0.8, 0.885, 0.537, 0.79), ConfidenceRow(0.9, 0.99, 0.3, 0.98, None, None)),
            tuple(
                Curve(name, tuple(i / 20 for i in range(20)), tuple(min(1.0, 0.3 + shift + i / 25) for i in range(20)))
                for name, shift in (("Float", 0.0), ("Quantized", -0.03))
            ),
        ),
        sizes=Sizes(
            (FileSize("model.onnx", 828335, "generic"), FileSize("model.pt2", 4838276, "torch")), 2207968, 569176
        ),
        latencies=(
            Latency("onnxruntime", "float32", median_ms=101.24, p90_ms=110.5, images_per_second=9.9, file_mib=28.1),
            Latency("onnxruntime", "float16", median_ms=141.3, p90_ms=150.0, images_per_second=7.1, file_mib=14.1),
            Latency("onnxruntime", "int8", median_ms=60.12, p90_ms=66.0, images_per_second=16.6, file_mib=7.2),
            Latency("tensorrt", "int8", threads=0, error="not installed"),
        ),
        sqnr=tuple(LayerSqnr(name, 44 - 13 * math.sin(i / 3) ** 2 - 25 * (i == 7)) for i, name in enumerate(layers))
        + (LayerSqnr("exact", math.inf),),
        ranges=(RangeRow(layers[0], -0.2785, 24.357, "mse", 1.8e-5, (layers[1],)), RangeRow("dead", None, math.nan)),
        histograms=tuple(bell(name, 1.0 + i, -3.0 - 2.0 * i, 2.5 + 3.9 * i) for i, name in enumerate(layers[:15])),
        sensitivity=Sensitivity(
            tuple(SensitivityRow(name, 0.8 / (1 + i) ** 2 - 0.02, "W8A8", 1.5) for i, name in enumerate(layers)),
            "Quantization raises the loss from 1.2 to 2.1.",
            1.2,
            2.1,
        ),
        search=Search(
            "The cheapest recipe loses 0.41", True, (Candidate(1.25, 1e9, "usual"), Candidate(0.41, 2e9, "one"))
        ),
        audit=Audit(
            (
                Balance(
                    "classes",
                    {"RBC": 90, NASTY: 10},
                    {"RBC": 60, NASTY: 30, "Platelets": 10},
                    0.3,
                    0.05,
                    ("Platelets",),
                ),
            ),
            tuple(CurvePoint(n, (58.0 + m, 57.5 + m, math.nan)) for n, m in ((1, 0), (4, 1), (16, 2.2), (64, 2.4))),
            16,
            (SliceRow(f"weather={NASTY}", 12, 60.0, 55.75), SliceRow("size=small", 3, math.nan, math.nan)),
            (SliceRow("corruption=blur", 73, 48.0, 47.1),),
            (DomainRow("as it is", 60.98), DomainRow("noise", 59.33)),
        ),
        parity=(
            Parity("onnxruntime", True, None, (ParityTensor("stem", 0.998, 1.0, 1.0, 0.002, 0.001),)),
            Parity("openvino", False, "stem: 97.1% of the values", (ParityTensor("stem", 0.9, 0.971, 3.0, 0.1, 0.02),)),
        ),
        findings=(
            Finding("note", "head", "saturation", "int16 may saturate", "narrow the weights", ("openvino",)),
            Finding("warning", NASTY, "duplicates", "one tensor is quantized 2 times", "tie_ranges"),
        ),
        layers=tuple(LayerRow(name, "Conv2d", "8 bits", "8 bits", "default", 8320, 2312) for name in layers),
        pictures=(PicturePair(f"0001.jpg {NASTY}", png(320, 240, (90, 120, 160)), png(320, 240, (160, 120, 90))),),
    )
