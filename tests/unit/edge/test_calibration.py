from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.small_model import SPEC
from worker.edge.calibration import MOST_IMAGES, Accuracy, open_calibration
from worker.errors import DatasetError, ExportError
from worker.settings import DecodeSettings

COLOURS = {"red": (200, 10, 10), "green": (10, 200, 10), "blue": (10, 10, 200)}
MODEL = replace(SPEC, labels=tuple(COLOURS))
LIMITS = DecodeSettings()


class ByChannel:
    """Classifies by the brightest channel, counted from `shift` on."""

    def __init__(self, shift: int = 0) -> None:
        self._shift = shift

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        means = crops.mean(axis=(1, 2)).astype(np.float32)
        return np.roll(means, self._shift, axis=1)


def folders(directory: Path, each: int = 10, names: tuple[str, ...] = tuple(COLOURS)) -> Path:
    for number, name in enumerate(names):
        (directory / name).mkdir(parents=True)
        for index in range(each):
            colour = [*COLOURS.values()][number]
            size = 20 + index, 20  # no two of the same content
            Image.new("RGB", size, colour).save(directory / name / f"{name} {index}.png")
    return directory


def test_some_images_set_the_ranges_and_accuracy_is_measured_on_the_others(tmp_path: Path) -> None:
    with open_calibration(folders(tmp_path / "data"), MODEL, 3, LIMITS) as calibration:
        crops = calibration.crops()
        accuracy = calibration.accuracy(ByChannel(), ByChannel(1))
    assert crops.shape[1:] == (8, 8, 3)
    assert len(crops) + accuracy.images == 30
    assert accuracy == Accuracy(accuracy.images, before=1.0, after=0.0)
    assert calibration.skipped == []


def test_ranges_are_set_by_a_bounded_number_of_images(tmp_path: Path) -> None:
    data = folders(tmp_path / "data", each=80)
    with open_calibration(data, MODEL, 3, LIMITS) as calibration:
        assert len(calibration.crops()) == MOST_IMAGES


def test_an_image_that_cannot_be_used_is_named_and_left_out(tmp_path: Path) -> None:
    data = folders(tmp_path / "data")
    for path in sorted((data / "red").iterdir()):
        path.write_bytes(f"no image {path.name}".encode())
    with open_calibration(data, MODEL, 3, LIMITS) as calibration:
        used = len(calibration.crops()) + calibration.accuracy(ByChannel(), ByChannel()).images
    assert used == 20
    assert len(calibration.skipped) == 10
    assert "red/red 0.png: " in "\n".join(calibration.skipped)


def test_classes_of_another_model_are_refused(tmp_path: Path) -> None:
    data = folders(tmp_path / "data", names=("red", "lime"))
    with (
        pytest.raises(ExportError, match=r"has classes that a model does not have, 'lime': name"),
        open_calibration(data, MODEL, 3, LIMITS),
    ):
        pass


def test_without_labels_the_class_ids_are_the_names(tmp_path: Path) -> None:
    data = folders(tmp_path / "data", names=("0", "1", "2"))
    with open_calibration(data, SPEC, 3, LIMITS) as calibration:
        assert calibration.accuracy(ByChannel(), ByChannel()).before == 1.0


def test_a_data_set_with_one_part_alone_is_refused(tmp_path: Path) -> None:
    folders(tmp_path / "data" / "test")
    with (
        pytest.raises(ExportError, match="has 0 images to train with and 30 others; int8 needs"),
        open_calibration(tmp_path / "data", MODEL, 3, LIMITS),
    ):
        pass


def test_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError), open_calibration(tmp_path / "none", MODEL, 3, LIMITS):
        pass
