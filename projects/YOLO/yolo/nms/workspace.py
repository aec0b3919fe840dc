"""How much memory the native kernels take beside their inputs and outputs."""

_ALIGNMENT = 64
_KEY = 8  # a candidate's score and index
_BLOCK = 176  # up to 8 kept boxes of a class, on the CPU
_CHAIN = 16  # a class with kept boxes, on the CPU
_STATE = 2048 * 4 + 32  # the histogram and the state of an image's selection, on CUDA


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()


def workspace_bytes(
    device_type: str,
    images: int,
    anchors: int,
    classes: int,
    max_candidates: int,
    max_detections: int,
    multi_label: bool = False,
    threads: int = 1,
) -> int:
    """Bytes of workspace of ``nms_padded`` in its native kernels.

    With ``S = anchors * classes`` scores an image that can be candidates (``anchors`` without ``multi_label``),
    ``C = min(max_candidates, S)`` and ``D = min(max_detections, C)``, up to rounding to 64 bytes:

    - CPU: ``min(images, threads) * (8 min(2 C, S) + 176 D + 16 P(2 D)) + 64``: keys, blocks of kept boxes, and a hash
      table of classes, ``P(x)`` being the least power of two that is not below ``x``, at least 2;
    - CUDA: ``images * (8 P(C) + 8224)``: keys to sort, and the histogram and state of the selection.

    Inputs in half precision are copied to float32 on top, and so are scores without two neighbours in memory that are
    neighbours among the anchors or the classes.

    Args:
        device_type: "cpu" or "cuda".
        images, anchors, classes: the shape of the scores; 1 class where there are labels.
        max_candidates, max_detections, multi_label: see :func:`..functional.nms_padded`.
        threads: ``torch.get_num_threads()``, of meaning on the CPU only.

    Returns:
        The bytes of the one allocation that is made; 0 if there is nothing to select from.

    Raises:
        ValueError: another device type.
    """
    if device_type not in ("cpu", "cuda"):
        raise ValueError(f"workspace_bytes: device_type is {device_type!r}, allowed are 'cpu' and 'cuda'")
    scored = anchors * (classes if multi_label else min(classes, 1))
    candidates = min(max_candidates, scored)
    kept = min(max_detections, candidates)
    if images * scored == 0:
        return 0
    if device_type == "cuda":
        return images * (_power_of_two(candidates) * _KEY + _STATE)
    chains = max(_power_of_two(2 * kept), 2)
    keys = min(2 * candidates, scored)
    worker = _aligned(keys * _KEY) + _aligned(kept * _BLOCK) + _aligned(chains * _CHAIN)
    return min(images, threads) * worker + _ALIGNMENT
