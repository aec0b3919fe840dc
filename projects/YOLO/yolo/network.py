"""A network built from the table of its family."""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from .detection_network import DetectionNetwork
from .families import Row, Scale, get_family
from .families.names import rename_state_dict, source_names
from .families.table import HeadTable
from .heads import AnchorBasedHead
from .heads.anchors import checked_anchors
from .heads.base import DetectionHead


class YOLONetwork(DetectionNetwork):
    """Backbone, neck and head of a YOLO detector.

    Attributes:
        family, size: what it was built from.
        layers: the rows of the table, in order.
        head: the head.
    """

    def __init__(
        self,
        family: str,
        size: str,
        num_classes: int,
        in_channels: int = 3,
        anchors: Sequence[Sequence[Sequence[float]]] = (),
    ) -> None:
        """
        Args:
            family: name in :data:`FAMILIES`, for example "yolov8".
            size: one of its sizes, for example "n".
            num_classes: number of classes.
            in_channels: channels of the input image.
            anchors: (width, height) in pixels, for each level and anchor; none for the published ones.

        Raises:
            KeyError: there is no such family or size.
            ValueError: a number of classes or channels below 1, or anchors that the head cannot use.
        """
        super().__init__()
        if in_channels < 1:
            raise ValueError(f"in_channels must be 1 or more, not {in_channels}")
        table = get_family(family, size)
        layout, scale = table.layout(size), table.scales[size]
        self.family, self.size = family, size
        self._names = table.names(size)
        self._sources = [absolute_sources(index, row.sources) for index, row in enumerate(layout.rows)]
        self._head_sources = layout.head.sources
        self._needed = ancestors(self._sources, self._head_sources[: len(layout.head.strides)])

        self.layers = nn.ModuleList()
        channels: list[int] = []
        for row, sources in zip(layout.rows, self._sources, strict=True):
            inputs = [channels[source] if source >= 0 else in_channels for source in sources]
            module, width = build_row(row, inputs, scale)
            self.layers.append(module)
            channels.append(width)
        head = layout.head
        widths = [channels[source] for source in head.sources]
        self.head = _build_head(head, widths, num_classes, anchors)

    def features(self, image: Tensor, auxiliary: bool | None = None) -> list[Tensor]:
        """The feature maps that the head reads.

        Args:
            image: ``Tensor[N, in_channels, H, W]``; H and W are multiples of the largest stride.
            auxiliary: include those that only auxiliary predictions need; None in training mode alone.
        """
        everything = self.head.has_auxiliary and (self.training if auxiliary is None else auxiliary)
        wanted = self._head_sources if everything else self._head_sources[: len(self.strides)]
        rows = range(len(self.layers)) if everything else sorted(self._needed)
        last_reader = last_readers(self._sources, rows)
        outputs: dict[int, Tensor] = {-1: image}
        for index in rows:
            sources = self._sources[index]
            inputs = [outputs[source] for source in sources]
            for source in set(sources) - set(wanted):
                if last_reader[source] == index:
                    del outputs[source]
            outputs[index] = self.layers[index](inputs[0] if len(inputs) == 1 else inputs)
        return [outputs[source] for source in wanted]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Raw predictions.

        Args:
            image: ``Tensor[N, in_channels, H, W]``; H and W are multiples of the largest stride.

        Returns:
            ``Tensor[N, C, H / stride, W / stride]`` for each level; :mod:`.decode` has the layout of the channels. In
            training mode heads with auxiliary predictions (``head.has_auxiliary``) give as many maps again, behind the
            others.
        """
        return self.head(self.features(image))

    def drop_unneeded_rows(self) -> list[int]:
        """Replace the rows that the predictions for inference do not depend on by ``nn.Identity``; gives their indices.

        The head must have dropped its auxiliary predictions before.
        """
        dropped = [index for index in range(len(self.layers)) if index not in self._needed]
        for index in dropped:
            self.layers[index] = nn.Identity()
        return dropped

    def source_names(self) -> dict[str, str]:
        """Name in ``state_dict()`` -> name of the same tensor in published checkpoints of the family."""
        found = {}
        parts: list[tuple[str, nn.Module]] = [(f"layers.{index}", layer) for index, layer in enumerate(self.layers)]
        for index, (ours, module) in enumerate([*parts, ("head", self.head)]):
            names = source_names(module, self._names.prefix(index), self._names)
            found.update({f"{ours}.{name}": theirs for name, theirs in names.items()})
        return found

    def convert_state_dict(self, source: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A published state dict of this family and size under the names used here.

        Raises:
            ValueError: a tensor is missing or left over.
        """
        return rename_state_dict(self.source_names(), source)


def absolute_sources(index: int, sources: Sequence[int]) -> tuple[int, ...]:
    """Sources of the row ``index`` counted from the first row; -1 is then the image."""
    return tuple(index + source if source < 0 else source for source in sources)


def ancestors(sources: Sequence[tuple[int, ...]], rows: Sequence[int]) -> frozenset[int]:
    """The given rows and all those that they depend on; ``sources`` are those of each row, counted from the first."""
    found: set[int] = set()
    waiting = list(rows)
    while waiting:
        row = waiting.pop()
        if row >= 0 and row not in found:
            found.add(row)
            waiting += sources[row]
    return frozenset(found)


def last_readers(sources: Sequence[tuple[int, ...]], rows: Iterable[int]) -> dict[int, int]:
    """For each source of the given rows, in the order in which they run, the last of them that reads it."""
    return {source: row for row in rows for source in sources[row]}


def build_row(row: Row, in_channels: Sequence[int], scale: Scale) -> tuple[nn.Module, int]:
    """The module of a row, and the channels of its output."""
    if row.channels is None:
        return row.block(**row.options), sum(in_channels)
    out = scale.channels(row.channels)
    repeats = {} if row.repeats is None else {"repeats": scale.repeats(row.repeats)}
    inputs = in_channels[0] if len(in_channels) == 1 else tuple(in_channels)
    return row.block(inputs, out, **repeats, **row.options), out


def _build_head(
    table: HeadTable, channels: Sequence[int], num_classes: int, anchors: Sequence[Sequence[Sequence[float]]]
) -> DetectionHead:
    options = dict(table.options)
    if anchors:
        if "anchors" not in options:
            raise ValueError("MODEL.YOLO.ANCHORS is set, but the head of this family has no anchors")
        options["anchors"] = checked_anchors(anchors, len(table.strides))
    head = table.head(channels, num_classes, table.strides, **options)
    if anchors and isinstance(head, AnchorBasedHead):
        head.keep_anchors()
    return head


def build_network(
    family: str,
    size: str,
    num_classes: int,
    in_channels: int = 3,
    anchors: Sequence[Sequence[Sequence[float]]] = (),
) -> YOLONetwork:
    """A network with fresh weights; the arguments are those of :class:`YOLONetwork`."""
    return YOLONetwork(family, size, num_classes, in_channels, anchors)
