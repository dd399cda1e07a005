"""What `NormalizeImage` asks for: numbers that float32 can compute with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from worker.model.fields import LONGEST_VALUE, Field, shown
from worker.model.transforms import Normalize

__all__ = ["normalization"]

Triple = tuple[float, float, float]


def normalization(step: Field, options: Mapping[str, Field], *, chw: bool) -> Normalize:
    """Check the numbers of `NormalizeImage`.

    Args:
        step: the operator.
        options: its keys.
        chw: whether ToCHWImage comes before it.

    Returns:
        The numbers.

    Raises:
        ConfigError: they are impossible, or different images would become equal.
    """
    if "channel_num" in options and options["channel_num"].value() != 3:
        raise options["channel_num"].refusal("must be 3: images are RGB")
    if "output_fp16" in options and options["output_fp16"].flag():
        raise options["output_fp16"].refusal("must be false: the network gets float32")
    order = options.get("order")
    if order is not None and order.value() not in (("chw",) if chw else ("", "hwc", None)):
        where = "after" if chw else "before"
        raise order.refusal(f"cannot be {order.value()!r} {where} ToCHWImage: leave it out")
    default = Normalize()
    normalize = Normalize(
        _scale(options["scale"]) if "scale" in options else default.scale,
        _triple(options.get("mean"), default.mean),
        _triple(options.get("std"), default.std),
    )
    for name, numbers in (
        ("scale", [normalize.scale]),
        ("mean", normalize.mean),
        ("std", normalize.std),
    ):
        wrong = next((number for number in numbers if not _fits(number, zero=name == "mean")), None)
        if wrong is not None:
            raise options[name].refusal(
                f"must not be {'zero' if wrong == 0 else f'{wrong:g}, which float32 cannot hold'}"
            )
    if not _keeps_levels_apart(normalize):
        raise step.refusal(
            "leaves no 256 different finite numbers of a channel's 256 levels in float32: "
            "correct scale, mean or std"
        )
    return normalize


def _fits(number: float, *, zero: bool) -> bool:
    """Whether float32 can hold a number, other than as zero unless `zero` may be."""
    import numpy as np  # noqa: PLC0415 - `models list` loads this package and reads no model

    with np.errstate(all="ignore"):
        held = np.float32(number)
    return bool(np.isfinite(held)) and (zero or held != 0)


def _keeps_levels_apart(normalize: Normalize) -> bool:
    """Whether different images stay different: in float32 numbers overflow and coincide."""
    import numpy as np  # noqa: PLC0415 - see above

    levels = np.arange(256, dtype=np.float32)[:, None]
    with np.errstate(all="ignore"):
        mean, std = (np.array(three, np.float32) for three in (normalize.mean, normalize.std))
        values = levels * (np.float32(normalize.scale) / std) - mean / std
        steps = np.diff(values, axis=0)
    return bool(np.isfinite(values).all() and (steps != 0).all())


def _scale(field: Field) -> float:
    # PaddleX's configurations write the fraction itself ("1.0/255.0").
    text = field.text()
    numerator, _, denominator = text[:LONGEST_VALUE].partition("/")
    try:
        scale = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        scale = math.nan
    if len(text) > LONGEST_VALUE or not math.isfinite(scale) or scale == 0:
        raise field.refusal(f"must be a number or a fraction, not {shown(text)!r}")
    return scale


def _triple(field: Field | None, default: Triple) -> Triple:
    """Three numbers, or one for all channels."""
    if field is None or field.is_null:
        return default
    numbers: list[float] = []
    if field.is_list:
        numbers = [number.number() for number in field.items("a list", field.name)]
    elif isinstance(field.value(), int | float):
        numbers = [field.number()] * 3
    if len(numbers) != 3:
        raise field.refusal("must have three numbers, or one for all channels")
    return numbers[0], numbers[1], numbers[2]
