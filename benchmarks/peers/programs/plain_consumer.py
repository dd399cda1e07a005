"""A Kafka consumer around a Paddle predictor, as one would write it with aiokafka.

Records of one poll are a batch, which one thread decodes, computes, draws and encodes; offsets are
committed when the brokers have acknowledged the results. Jobs and results are the worker's.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from paddle import inference

BATCH = 16
"""Most records of a poll. Fetching by default is 1 MiB a partition, some 8 images, so it rarely
is the limit."""

MIB = 1 << 20

REFUSED = {"errorCode": 422, "errorMsg": "this is no image"}


class Classifier:
    """A predictor with what is around it; for one thread, since a predictor is.

    Args:
        model: a directory in Paddle's inference format, whose images are resized by the short
            side, cropped and normalised.
        threads: of the math library.
        quality: of the pictures, which are JPEG, 1 to 100.
    """

    def __init__(self, model: Path, threads: int, quality: int = 85) -> None:
        described = yaml.safe_load((model / "inference.yml").read_text("utf-8"))
        steps = {k: v for step in described["PreProcess"]["transform_ops"] for k, v in step.items()}
        resize = steps["ResizeImage"]
        if resize.keys() != {"resize_short"}:
            raise SystemExit(f"this consumer scales bilinearly by the short side, not by {resize}")
        self._short: int = resize["resize_short"]
        self._side: int = steps["CropImage"]["size"]
        mean, std, scale = (
            np.asarray(steps["NormalizeImage"][k], np.float32) for k in ("mean", "std", "scale")
        )
        self._factor, self._offset = scale / std, mean / std
        topk = described["PostProcess"]["Topk"]
        self._top_k: int = topk["topk"]
        self._labels: list[str] = topk["label_list"]
        self._quality = quality
        config = inference.Config(str(model / "inference.json"), str(model / "inference.pdiparams"))
        config.disable_gpu()
        config.disable_glog_info()
        config.enable_new_ir(True)
        config.enable_new_executor(True)
        config.enable_memory_optim()
        config.enable_mkldnn()
        config.set_cpu_math_library_num_threads(threads)
        self._predictor = inference.create_predictor(config)
        self._input = self._predictor.get_input_handle(self._predictor.get_input_names()[0])
        self._output = self._predictor.get_output_handle(self._predictor.get_output_names()[0])

    def classify(self, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Classify the images of jobs in one batch.

        Returns:
            A result for each job, in their order.
        """
        images = [_decode(job["image"]) for job in jobs]
        good = [image for image in images if image is not None]
        scores = iter(self._compute(good) if good else ())
        return [
            {"jobId": job.get("jobId")}
            | (REFUSED if image is None else self._result(job, image, next(scores)))
            for job, image in zip(jobs, images, strict=True)
        ]

    def _compute(self, images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        batch = np.stack([self._prepare(image) for image in images])
        self._input.reshape(list(batch.shape))
        self._input.copy_from_cpu(batch)
        self._predictor.run()
        scores: npt.NDArray[np.float32] = self._output.copy_to_cpu()
        return scores

    def _prepare(self, bgr: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """From `[H, W, 3] uint8` to `[3, side, side] float32`, RGB."""
        height, width = bgr.shape[:2]
        scale = self._short / min(height, width)
        size = round(width * scale), round(height * scale)
        resized = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        top, left = (size[1] - self._side) // 2, (size[0] - self._side) // 2
        crop = resized[top : top + self._side, left : left + self._side]
        rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)
        tensor = rgb.astype(np.float32) * self._factor - self._offset
        return np.ascontiguousarray(tensor.transpose(2, 0, 1))

    def _result(
        self, job: dict[str, Any], image: npt.NDArray[np.uint8], scores: npt.NDArray[np.float32]
    ) -> dict[str, Any]:
        best = np.argsort(-scores)[: self._top_k]
        categories = [
            {"id": int(k), "name": self._labels[k], "score": round(float(scores[k]), 5)}
            for k in best
        ]
        result: dict[str, Any] = {"categories": categories}
        if job.get("visualize", True):
            text = f"{categories[0]['name']} {categories[0]['score']:.2f}"
            result["image"] = base64.b64encode(self._draw(image, text)).decode()
        return {"errorCode": 0, "errorMsg": "Success", "result": result}

    def _draw(self, image: npt.NDArray[np.uint8], text: str) -> bytes:
        """White text on a red box in the upper left corner, as JPEG."""
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(0.4, image.shape[1] / 800)
        (width, height), base = cv2.getTextSize(text, font, scale, 1)
        cv2.rectangle(image, (3, 3), (width + 9, height + base + 9), (0, 0, 255), cv2.FILLED)
        cv2.putText(image, text, (6, height + 6), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
        done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        assert done
        return encoded.tobytes()


def _decode(text: str) -> npt.NDArray[np.uint8] | None:
    try:
        encoded = np.frombuffer(base64.b64decode(text), np.uint8)
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    except (ValueError, TypeError, cv2.error):
        return None


async def consume(options: argparse.Namespace) -> None:
    """Answer jobs until the process ends."""
    classifier = Classifier(options.model, options.threads)

    def answer(values: Sequence[bytes]) -> list[bytes]:
        results = classifier.classify([json.loads(value) for value in values])
        return [json.dumps(result).encode() for result in results]

    consumer = AIOKafkaConsumer(
        options.jobs,
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=BATCH,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap, acks="all", max_request_size=8 * MIB
    )
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    async with consumer, producer:
        while True:
            polled = await consumer.getmany(timeout_ms=1000)
            records = [record for some in polled.values() for record in some]
            if not records:
                continue
            answers = await loop.run_in_executor(thread, answer, [r.value for r in records])
            sent = [
                await producer.send(options.results, value, key=record.key)
                for record, value in zip(records, answers, strict=True)
            ]
            await asyncio.gather(*sent)
            await consumer.commit()


def parse() -> argparse.Namespace:
    """Read the command line of a consumer.

    Returns:
        The options, each an attribute.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    for name in ("bootstrap", "jobs", "results", "group"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(consume(parse()))
