from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from worker.errors import JobError, Reason
from worker.images.decode import decode
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.model import CenterCrop, Resize
from worker.settings import DecodeSettings

TRANSFORM = Transform(Resize(256, None), CenterCrop(224, 224))


@pytest.mark.parametrize(
    ("side", "shape"), [(None, None), (100, (67, 100, 3)), (1024, (427, 640, 3))]
)
def test_crop_and_picture(
    photograph: Callable[[str], bytes],
    limits: DecodeSettings,
    side: int | None,
    shape: tuple[int, ...] | None,
) -> None:
    data = photograph("china.jpg")
    prepared = prepare(data, TRANSFORM, limits, side)
    assert np.array_equal(prepared.crop, TRANSFORM(decode(data, limits)))
    assert (None if prepared.picture is None else prepared.picture.shape) == shape
    assert prepared.nbytes == 224 * 224 * 3 + int(np.prod(shape) if shape else 0)


def test_the_decoded_photograph_is_not_kept(
    photograph: Callable[[str], bytes], limits: DecodeSettings
) -> None:
    prepared = prepare(photograph("china.jpg"), TRANSFORM, limits, 100)
    for pixels in (prepared.crop, prepared.picture):
        assert pixels is not None
        owner = pixels if pixels.base is None else pixels.base
        assert np.asarray(owner).nbytes == pixels.nbytes


def test_what_is_wrong_with_the_image_comes_through(limits: DecodeSettings) -> None:
    with pytest.raises(JobError) as caught:
        prepare(b"nothing", TRANSFORM, limits, None)
    assert caught.value.reason is Reason.NOT_AN_IMAGE
