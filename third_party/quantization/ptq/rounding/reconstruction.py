"""Weights rounded so that blocks give what they gave in floating point."""

import logging
from collections.abc import Callable, Iterable, Sequence, Sized
from functools import partial
from itertools import islice
from typing import Any, TypedDict

import torch
from torch import nn

from ...quantizers.quantizer import Quantizer
from ...spec.names import NamePattern
from ..batches import Run, call_model, first_batch
from ..calibrate import check_calibrated
from ..float_copy import float_copy
from .block_learner import BlockLearner, Sample
from .blocks import Block, find_blocks
from .captured import capture, rows_of
from .learning import LearningSettings

logger = logging.getLogger(__name__)


class ReconstructionRow(TypedDict):
    """A block: its name, its layers, its output's mean squared error before and after, and which was kept."""

    name: str
    layers: list[str]
    before: float
    after: float
    kept: bool


def reconstruct(
    model: nn.Module,
    batches: Iterable[Any],
    run: Run = call_model,
    *,
    settings: LearningSettings | None = None,
    names: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    reference: nn.Module | None = None,
) -> list[ReconstructionRow]:
    """Learn block by block, in the model's order, how weights are rounded and where activations are clipped.

    Each block is taught to give, on what the blocks before it really pass on, what it gave in floating point: with
    rounding as in AdaRound (arXiv 2004.10568), blocks as in BRECQ (arXiv 2102.05426, section 3.2; squared error in
    place of its Fisher weights), activations quantized at random as in QDrop (arXiv 2203.05740, section 3.3). In the
    end weights *are* at the learned levels: nothing is added to the model, its checkpoints, or its conversion. A block
    that got no better stays as it was.

    Args:
        model: prepared, ranges of activations set; changed in place, and in evaluation mode afterwards.
        batches: what ``run`` takes; can be gone over several times.
        run: of model and batch, runs the model.
        settings: how.
        names: patterns of modules that are blocks, in addition to the rule of :func:`find_blocks`; an error if one
            matches none.
        only: patterns of the blocks that are learned; None for all. The first ones often are most of the error.
        reference: the model in floating point with modules of the same names; None: the model itself, as it is now
            with quantizers switched off.

    Returns:
        a row for each block.

    Raises:
        ValueError: no batch, activations without a range, or a pattern that matches no block.
    """
    settings = settings or LearningSettings()
    example = first_batch(batches)
    check_calibrated(model)
    model.eval()
    teacher = float_copy(model) if reference is None else reference.eval()
    rows: list[ReconstructionRow] = []
    fixed: set[Quantizer] = set()
    blocks = find_blocks(model, lambda: run(model, example), largest=settings.largest, names=names)
    chosen = blocks if only is None else _chosen(blocks, only)
    images = _images(model, blocks[0], batches, run) if blocks else []
    for block in chosen:
        learner = BlockLearner(block.module, settings, fixed)
        learner.install()
        try:
            rows.append(_learn(model, teacher, block, learner, batches, images, run, settings))
        except BaseException:
            learner.harden()
            learner.swap_back()
            raise
        fixed |= set(learner.activations)
        shown = (len(rows), len(chosen), block.name, rows[-1]["before"], rows[-1]["after"])
        logger.info("Reconstruction of block %d of %d, %s: error %.3g -> %.3g", *shown)
    return rows


def _learn(
    model: nn.Module,
    teacher: nn.Module,
    block: Block,
    learner: BlockLearner,
    batches: Iterable[Any],
    images: Sequence[int | None],
    run: Run,
    settings: LearningSettings,
) -> ReconstructionRow:
    turns = _turns(batches, 3 * block.bytes, settings.memory)
    done, samples = 0, list[Sample]()
    for turn in range(turns):
        samples = []  # frees their memory before the next are captured
        samples = _samples(model, teacher, block, partial(islice, batches, turn, None, turns), images[turn::turns], run)
        until = settings.iterations * (turn + 1) // turns
        learner.learn(samples, until - done)
        done = until
    learner.harden()
    after = learner.error(samples)
    learned = learner.swap_back()
    before = learner.error(samples)
    kept = after < before
    if kept:
        learner.use_rounding()
        learner.set_ranges(learned)
        learner.keep()
    layers = [f"{block.name}.{name}".rstrip(".") for name in block.layers]
    return ReconstructionRow(name=block.name, layers=layers, before=before, after=after, kept=kept)


def _samples(
    model: nn.Module,
    teacher: nn.Module,
    block: Block,
    batches: Callable[[], Iterable[Any]],
    images: Sequence[int | None],
    run: Run,
) -> list[Sample]:
    twin = teacher.get_submodule(block.name)
    exact = capture(teacher, twin, batches(), run, block.calls)
    quantized = capture(model, block.module, batches(), run, block.calls, outputs=False)
    samples: list[Sample] = []
    for number, (q, e) in enumerate(zip(quantized, exact, strict=True)):
        if rows_of(q.args) == rows_of(e.args) == images[number // block.calls]:
            samples.append(Sample(q.args, e.args, e.output))
        else:  # rows that the model chose, as proposals are, are others in floating point
            with torch.no_grad():
                samples.append(Sample(q.args, q.args, twin(*q.args)))
    return samples


def _images(model: nn.Module, first: Block, batches: Iterable[Any], run: Run) -> list[int | None]:
    """Rows of what the first block gets, for each batch."""
    calls = capture(model, first.module, batches, run, first.calls, outputs=False)
    return [rows_of(call.args) for call in calls[:: first.calls]]


def _turns(batches: Iterable[Any], bytes_each: int, memory: int) -> int:
    """In how many turns batches are gone over, so that those of one fit; at least one batch is in every turn."""
    count = len(batches) if isinstance(batches, Sized) else sum(1 for _ in batches)
    return -(-count // max(1, memory // max(bytes_each, 1)))


def _chosen(blocks: Sequence[Block], only: Sequence[str]) -> list[Block]:
    patterns, names = [NamePattern(text) for text in only], [block.name for block in blocks]
    for pattern in patterns:
        if not any(map(pattern.matches, names)):
            raise ValueError(f"reconstruction: {pattern.text!r} matches no block; blocks are {', '.join(names)}")
    return [block for block in blocks if any(pattern.matches(block.name) for pattern in patterns)]
