"""What the linter says."""

from dataclasses import asdict, dataclass
from typing import Any

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something that will go wrong, or be slow, after export.

    Attributes:
        layer: qualified name of the layer.
        rule: name of the rule.
        severity: "error": numbers will be wrong or the export will fail; "warning": accuracy or speed will suffer;
            "note": it depends on the machine.
        message: what was found.
        remedy: what to do.
    """

    layer: str
    rule: str
    severity: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.layer}: {self.message} [{self.rule}] {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
