"""`create_pipeline` with a real model: every kind of input, order, errors, and several devices."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from demo.images import photographs
from worker import create_pipeline
from worker.errors import JobError, Reason
from worker.predict import (
    ClassificationResult,
    FailedInput,
    ImageClassificationPipeline,
    PipelineConfig,
)

CAT, TIGER_CAT = "chelsea", 282


@pytest.fixture(scope="module")
def pipeline(model_dir: Path) -> Iterator[ImageClassificationPipeline]:
    with create_pipeline(model=model_dir, device="cpu") as made:
        yield made


@pytest.fixture(scope="module")
def photo() -> Path:
    return next(photograph.path for photograph in photographs() if photograph.name == CAT)


@pytest.fixture(scope="module")
def pixels(photo: Path) -> npt.NDArray[np.uint8]:
    """The photograph as OpenCV reads it, BGR."""
    return np.asarray(cv2.imread(str(photo)), np.uint8)


def test_photographs_are_what_they_show(pipeline: ImageClassificationPipeline) -> None:
    known = photographs()
    results = list(pipeline.predict([photograph.path for photograph in known], batch_size=4))
    assert [result["input_path"] for result in results] == [str(each.path) for each in known]
    assert [int(result["class_ids"][0]) for result in results] == [each.class_id for each in known]
    assert all(len(result["scores"]) == 5 for result in results)


def test_a_call_does_not_read_the_containers_quota(
    pipeline: ImageClassificationPipeline, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long as all else that a single image costs beside the network."""
    monkeypatch.setattr("worker.predict.image_classification.available_cores", None)
    assert next(pipeline.predict(photo))["label_names"]


def test_every_kind_of_input_gives_the_same(
    pipeline: ImageClassificationPipeline,
    photo: Path,
    pixels: npt.NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    shutil.copy(photo, tmp_path)
    bgra = np.dstack([pixels, np.zeros(pixels.shape[:2], np.uint8)])
    kinds: list[object] = [
        photo,
        str(photo),
        str(tmp_path),
        f"{tmp_path}/*.png",
        photo.read_bytes(),
        io.BytesIO(photo.read_bytes()),
        Image.open(photo),
        pixels,
        bgra,
        {"img": pixels},
        [pixels],
        iter([photo]),
    ]
    expected = next(pipeline.predict(photo)).json["res"]
    assert expected["class_ids"][0] == TIGER_CAT
    for kind in kinds:
        (result,) = pipeline.predict(kind)
        plain = result.json["res"]
        assert plain["class_ids"] == expected["class_ids"]
        assert plain["scores"] == expected["scores"]
        np.testing.assert_array_equal(result["input_img"][..., ::-1], pixels)


def test_grey_arrays_are_grey_images(
    pipeline: ImageClassificationPipeline, pixels: npt.NDArray[np.uint8]
) -> None:
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    flat, replicated = pipeline.predict([grey, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)])
    assert flat.json["res"] == replicated.json["res"]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_order_and_answers_do_not_depend_on_the_batch(
    pipeline: ImageClassificationPipeline, batch_size: int
) -> None:
    paths = [photograph.path for photograph in photographs()][:5]
    alone = [next(pipeline.predict(path)) for path in paths]
    together = list(pipeline.predict(paths, batch_size=batch_size))
    for one, other in zip(alone, together, strict=True):
        assert one["input_path"] == other["input_path"]
        np.testing.assert_array_equal(one["class_ids"], other["class_ids"])
        np.testing.assert_allclose(one["scores"], other["scores"], atol=2e-4)


@pytest.mark.parametrize(
    ("topk", "count"), [(None, 5), (0, 5), (1, 1), (3, 3), (1000, 1000), (5000, 1000)]
)
def test_topk(
    pipeline: ImageClassificationPipeline, photo: Path, topk: int | None, count: int
) -> None:
    (result,) = pipeline.predict(photo, topk=topk)
    assert len(result["class_ids"]) == len(result["scores"]) == len(result["label_names"]) == count
    assert (np.diff(result["scores"]) <= 0).all()


def test_a_pipelines_own_topk_and_batch_size_are_its_defaults(
    model_dir: Path, photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"Pipeline: {{model: {json.dumps(str(model_dir))}, batch_size: 4, topk: 2}}")
    with create_pipeline(file) as made:
        assert made.config == PipelineConfig(model=str(model_dir), batch_size=4, topk=2)
        assert len(next(made.predict(photo))["class_ids"]) == 2
        assert len(next(made.predict(photo, topk=3))["class_ids"]) == 3
    with create_pipeline(file, topk=1, batch_size=2) as made:
        assert made.config.batch_size == 2
        assert len(next(made.predict(photo))["class_ids"]) == 1


def test_a_tiff_has_a_result_for_each_page(
    pipeline: ImageClassificationPipeline, photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scan.tiff"
    pages = [Image.open(photo).convert("RGB"), Image.new("RGB", (40, 30), "red")]
    pages[0].save(file, save_all=True, append_images=[pages[1], pages[0]])
    file.write_bytes(file.read_bytes()[:-100])  # of the last page's pixels
    results = list(pipeline.predict([file, photo], batch_size=2, on_error="yield"))
    assert [result.json["res"].get("page_index") for result in results] == [0, 1, None, None]
    first, second, failed, whole = results
    assert isinstance(first, ClassificationResult)
    assert isinstance(second, ClassificationResult)
    assert isinstance(whole, ClassificationResult)
    assert first["class_ids"].tolist() == whole["class_ids"].tolist()
    assert second["input_img"].shape == (30, 40, 3)
    assert isinstance(failed, FailedInput)
    assert failed.error.message.startswith("page 3 of 3: the TIFF file is cut off")
    assert [first.save_to_json(tmp_path).name, second.save_to_img(tmp_path).name] == [
        "scan_0_res.json",
        "scan_1_res.tiff",
    ]


def test_a_configuration_itself_is_taken(model_dir: Path, photo: Path) -> None:
    module = {"model_name": "EfficientNet-Lite0", "model_dir": str(model_dir), "topk": 1}
    config = {
        "pipeline_name": "image_classification",
        "SubModules": {"ImageClassification": module},
    }
    with create_pipeline(config=config, device="cpu", hpi_config={"backend": "onnx"}) as made:
        assert next(made.predict(photo))["class_ids"].tolist() == [TIGER_CAT]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"topk": -1}, ValueError, "topk is -1; it must be 1 or more, or 0 for the model's own"),
        ({"topk": 2.5}, TypeError, "float"),
        ({"batch_size": 0}, ValueError, "batch_size is 0; it must be 1 or more"),
        ({"batch_size": "4"}, TypeError, "str"),
        ({"on_error": "ignore"}, ValueError, "on_error is 'ignore'; it must be 'raise' or 'yield'"),
    ],
)
def test_wrong_arguments_are_refused_by_the_call_itself(
    pipeline: ImageClassificationPipeline,
    arguments: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        pipeline.predict("a.jpg", **arguments)  # type: ignore[call-overload]


def test_the_input_may_be_called_x(pipeline: ImageClassificationPipeline, photo: Path) -> None:
    ((by_name,), (first,)) = pipeline.predict(x=photo), pipeline.predict(photo)
    assert by_name.to_dict() == first.to_dict()
    with pytest.raises(TypeError, match="needs an input"):
        pipeline.predict()
    with pytest.raises(TypeError, match="needs one input"):
        pipeline.predict(photo, x=photo)


def test_a_bad_image_raises_in_its_turn(
    pipeline: ImageClassificationPipeline, photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    results = pipeline.predict([photo, bad, photo], batch_size=3)
    assert next(results)["input_path"] == str(photo)
    with pytest.raises(JobError, match=r"bad\.jpg: the file is no image") as refused:
        next(results)
    assert refused.value.reason is Reason.NOT_AN_IMAGE


def test_or_leaves_a_failure_in_its_place(
    pipeline: ImageClassificationPipeline, photo: Path
) -> None:
    given = ["missing.jpg", photo, np.zeros((2, 2), np.float64), photo, "*.nothing"]
    results = list(pipeline.predict(given, batch_size=2, on_error="yield"))
    assert [isinstance(result, FailedInput) for result in results] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert [result.json["res"]["input_path"] for result in results] == [
        "missing.jpg",
        str(photo),
        None,
        str(photo),
        "*.nothing",
    ]


def test_an_endless_stream_is_read_frame_by_frame(
    pipeline: ImageClassificationPipeline, pixels: npt.NDArray[np.uint8]
) -> None:
    taken = 0

    def camera() -> Iterator[npt.NDArray[np.uint8]]:
        nonlocal taken
        frame = pixels.copy()
        while True:
            taken += 1
            yield frame
            frame[:] = 0  # as cameras do: the next one in the same memory

    results = pipeline.predict(camera())
    first = next(results)
    assert taken == 1
    assert next(results) is not first
    assert taken == 2
    assert first["class_ids"][0] == TIGER_CAT
    assert first["input_img"].any()
    together = pipeline.predict(camera(), batch_size=3)
    shown = [(next(together)["input_img"].any(), taken) for _ in range(6)]
    assert shown == [(True, 5), *[(False, 5)] * 2, *[(False, 8)] * 3]


def test_threads_may_share_a_pipeline(
    pipeline: ImageClassificationPipeline,
) -> None:
    known = photographs()[:6]

    def top(path: Path) -> int:
        return int(next(pipeline.predict(path))["class_ids"][0])

    with ThreadPoolExecutor(4) as threads:
        tops = list(threads.map(top, [photograph.path for photograph in known]))
    assert tops == [photograph.class_id for photograph in known]


def test_it_works_within_a_running_event_loop(
    pipeline: ImageClassificationPipeline, photo: Path
) -> None:
    async def notebook() -> int:
        return int(next(pipeline.predict(photo))["class_ids"][0])

    assert asyncio.run(notebook()) == TIGER_CAT


FORKING = """
import os, sys
from worker import create_pipeline

pipeline = create_pipeline(model=sys.argv[1], device="cpu")
list(pipeline.predict(sys.argv[2]))
child = os.fork()
if not child:
    try:
        pipeline.predict(sys.argv[2])
    except RuntimeError as error:
        sys.exit(5 if "make one in each" in str(error) else 6)
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(list(pipeline.predict(sys.argv[2]))))
"""


def test_in_a_fork_it_says_so_and_stays_whole_in_its_own_process(
    model_dir: Path, photo: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(model_dir), str(photo)],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "5 1"
