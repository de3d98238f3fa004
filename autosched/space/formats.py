"""The formats and fidelities of a network's layers: as a user names them, and which there are.

They are a policy of the whole network (weights and inner activations in one format, the network's
ends in another), or where accuracy judges them (``--min-pcc``), a choice of the search for each
layer. What is pinned for some layers is theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from autosched.errors import SearchError
from autosched.schedule.configurations import Fidelity, Precision
from autosched.schedule.tensors import DataType

_Word = TypeVar("_Word", DataType, Fidelity)

WEIGHT_TYPES = (DataType.BFLOAT16, DataType.BFLOAT8_B, DataType.BFLOAT4_B)
ACTIVATION_TYPES = (DataType.BFLOAT16, DataType.BFLOAT8_B)


@dataclass(frozen=True)
class FormatPin:
    """A format of some layers' own: ``field`` is one of FORMAT_FIELDS.

    ``pattern`` names the layers as a shell does, ``value`` is as :func:`read_format` takes it.
    """

    pattern: str
    field: str
    value: str


@dataclass(frozen=True)
class Formats:
    """Formats of a whole network.

    ``end_activations`` and ``end_fidelity`` hold for the first and the last layer with weights and
    for what lies outside them, ``activations`` and ``fidelity`` for everything between. Sums of
    convolutions and matrix products are kept in bfloat16 unless there is ``fp32_accumulation``;
    those of linear layers with a bias always. What is pinned for some layers goes before all this.
    """

    weights: DataType = DataType.BFLOAT8_B
    activations: DataType = DataType.BFLOAT8_B
    end_activations: DataType = DataType.BFLOAT16
    fidelity: Fidelity = Fidelity.LOFI
    end_fidelity: Fidelity = Fidelity.HIFI2
    fp32_accumulation: bool = False
    pins: tuple[FormatPin, ...] = ()

    @property
    def unpinned(self) -> "Formats":
        """The same with nothing pinned."""
        return replace(self, pins=())

    @property
    def most_exact(self) -> "Formats":
        """The same pins, and nothing rounded that need not be: bfloat16, HiFi4, float32 sums."""
        return Formats(
            weights=DataType.BFLOAT16,
            activations=DataType.BFLOAT16,
            fidelity=Fidelity.HIFI4,
            end_fidelity=Fidelity.HIFI4,
            fp32_accumulation=True,
            pins=self.pins,
        )

    @property
    def inside(self) -> str:
        """What most layers have, in few words: weights, activations, fidelity."""
        text = f"{self.weights} weights, {self.activations}, {self.fidelity}"
        return f"{text}, float32 sums" if self.fp32_accumulation else text

    def __str__(self) -> str:
        text = (
            f"weights {self.weights}, activations {self.activations} "
            f"({self.end_activations} at both ends), {self.fidelity} "
            f"({self.end_fidelity} at both ends)"
        )
        text = f"{text}, sums in float32" if self.fp32_accumulation else text
        return f"{text}, {len(self.pins)} pinned" if self.pins else text


def parse_formats(
    weights: str = "",
    activations: str = "",
    fidelity: str = "",
    *,
    fp32_accumulation: bool = False,
) -> Formats:
    """Return the default formats with what the user named replaced.

    Raises:
        SearchError: for a name that is not one; the message lists the legal ones.
    """
    default = Formats()
    return Formats(
        weights=_word(weights, default.weights, WEIGHT_TYPES, "--weights"),
        activations=_word(activations, default.activations, ACTIVATION_TYPES, "--activations"),
        fidelity=_word(fidelity, default.fidelity, tuple(Fidelity), "--fidelity"),
        end_fidelity=_word(fidelity, default.end_fidelity, tuple(Fidelity), "--fidelity"),
        fp32_accumulation=fp32_accumulation,
    )


def _word(text: str, default: _Word, legal: tuple[_Word, ...], option: str) -> _Word:
    if not text:
        return default
    for word in legal:
        if word.value.lower() == text.lower():
            return word
    raise SearchError(f"{option} {text!r} is not one of {', '.join(legal)}")


PRECISIONS = (
    Precision(DataType.BFLOAT4_B, Fidelity.LOFI),
    Precision(DataType.BFLOAT8_B, Fidelity.LOFI),
    Precision(DataType.BFLOAT8_B, Fidelity.HIFI2),
    Precision(DataType.BFLOAT16, Fidelity.HIFI2),
    Precision(DataType.BFLOAT16, Fidelity.HIFI4),
    Precision(DataType.BFLOAT8_B, Fidelity.HIFI2, float32_sums=True),
    Precision(DataType.BFLOAT16, Fidelity.HIFI2, float32_sums=True),
    Precision(DataType.BFLOAT16, Fidelity.HIFI3, float32_sums=True),
    Precision(DataType.BFLOAT16, Fidelity.HIFI4, float32_sums=True),
)
"""What a search for formats tries of products, in about the order of their errors.

In one phase 5 bits of a weight enter, so that bfloat16 weights buy nothing there; bfloat4_b has 3.
"""

WEIGHTS, OUTPUT = "weights_dtype", "output_dtype"
FIDELITY, SUMS = "math_fidelity", "fp32_dest_acc_en"

_LEGAL: Mapping[str, Mapping[str, Any]] = {
    WEIGHTS: {dtype.value.lower(): dtype for dtype in WEIGHT_TYPES},
    OUTPUT: {dtype.value.lower(): dtype for dtype in ACTIVATION_TYPES},
    FIDELITY: {fidelity.value.lower(): fidelity for fidelity in Fidelity},
    SUMS: {"false": False, "true": True},
}

FORMAT_FIELDS = tuple(_LEGAL)
"""The fields of a configuration that are formats: the search has one value of them a layer."""


def read_format(field: str, text: str) -> Any:
    """Return the value of a field of FORMAT_FIELDS.

    Raises:
        SearchError: if the text is none of its values; the message lists them.
    """
    legal = _LEGAL[field]
    if text.lower() not in legal:
        raise SearchError(f"{field} {text!r} is not one of {', '.join(legal)}")
    return legal[text.lower()]
