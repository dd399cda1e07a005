from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import paddle
import pytest

from demo import images
from demo.errors import DemoError
from demo.images import photographs
from worker.model import load_model_spec


def as_the_model_sees_it(path: Path) -> npt.NDArray[np.float32]:
    """The model's documented preprocessing, written out: `[3, 224, 224]`."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None
    height, width = pixels.shape[:2]
    scale = 256 / min(height, width)
    pixels = cv2.resize(pixels, (round(width * scale), round(height * scale)))
    top, left = (pixels.shape[0] - 224) // 2, (pixels.shape[1] - 224) // 2
    crop = pixels[top : top + 224, left : left + 224, ::-1]
    normalised: npt.NDArray[np.float32] = (crop.astype(np.float32) - 127) / np.float32(128)
    return normalised.transpose(2, 0, 1)


def test_the_model_recognises_every_photograph(model_dir: Path) -> None:
    shown = photographs()
    labels = load_model_spec(model_dir).labels
    batch = np.stack([as_the_model_sees_it(photograph.path) for photograph in shown])

    scores = paddle.jit.load(str(model_dir / "inference"))(paddle.to_tensor(batch)).numpy()

    assert len(shown) >= 12
    assert {
        p.name: labels[i].split(", ")[0] for p, i in zip(shown, scores.argmax(1), strict=True)
    } == {p.name: p.label for p in shown}
    assert [p.class_id for p in shown] == scores.argmax(1).tolist()


def test_the_scores_are_those_of_the_original_weights(model_dir: Path) -> None:
    (chelsea,) = (photograph for photograph in photographs() if photograph.name == "chelsea")
    image = paddle.to_tensor(as_the_model_sees_it(chelsea.path)[None])

    scores = paddle.jit.load(str(model_dir / "inference"))(image).numpy()[0]

    # Tiger cat, Egyptian cat, tabby.
    np.testing.assert_allclose(scores[[282, 285, 281]], [0.39, 0.36, 0.16], atol=0.01)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "find_spec", lambda _name: None)

    with pytest.raises(DemoError, match="'foolbox' is missing"):
        photographs()
