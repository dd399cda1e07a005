from __future__ import annotations

from collections import Counter

import pytest

from worker.zoo.catalogue import addresses, catalogue, describe_family, nearest_names


def test_the_80_models_in_their_families() -> None:
    models = catalogue()
    assert len(models) == 80
    assert Counter(model.family for model in models.values()) == {
        "CLIP_vit": 2,
        "ConvNeXt": 6,
        "FasterNet": 6,
        "MobileNetV1": 4,
        "MobileNetV2": 5,
        "MobileNetV3": 10,
        "MobileNetV4": 5,
        "PP-HGNet": 3,
        "PP-HGNetV2": 7,
        "PP-LCNet": 8,
        "PP-LCNetV2": 3,
        "ResNet": 11,
        "StarNet": 4,
        "SwinTransformer": 6,
    }
    assert all(name == model.name for name, model in models.items())


def test_figures_are_plausible() -> None:
    for model in catalogue().values():
        assert 50 < model.top1 < 90
        assert 1 < model.gpu_ms < 100
        assert model.cpu_ms is None or 4 < model.cpu_ms < 7000
        assert 1.5e6 < model.size < 1.2e9
        assert model.resize.short is not None
        assert model.crop.width == model.crop.height <= model.resize.short
        assert (model.resize.backend, model.resize.interpolation) in (
            ("cv2", "bilinear"),
            ("pil", "bicubic"),
        )


def test_a_model_as_it_is_published() -> None:
    model = catalogue()["PP-LCNet_x1_0"]
    assert (model.family, model.top1) == ("PP-LCNet", 71.32)
    assert (model.gpu_ms, model.cpu_ms) == (3.84845, 9.23735)
    assert model.size == 11010048
    assert model.resize.short == 256
    assert model.archive == "PP-LCNet_x1_0_infer.tar"


def test_addresses_end_with_a_slash_and_are_https() -> None:
    known = addresses()
    for address in (known.archives, known.archives_beta2, known.weights):
        assert address.startswith("https://")
        assert address.endswith("/")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("pplcnet_x1_0", "PP-LCNet_x1_0"),
        ("PP-LCNet-x1.0", "PP-LCNet_x1_0"),
        ("resnet50vd", "ResNet50_vd"),
        ("StarNet_S1", "StarNet-S1"),
        ("swin_tiny_patch4_window7_224", "SwinTransformer_tiny_patch4_window7_224"),
    ],
)
def test_the_nearest_name_comes_first(name: str, nearest: str) -> None:
    assert nearest_names(name)[0] == nearest


def test_nothing_is_near_to_nonsense() -> None:
    assert nearest_names("zebra crossing") == []


def test_every_family_is_described_in_a_sentence_or_two() -> None:
    for family in {model.family for model in catalogue().values()}:
        text = describe_family(family)
        assert text.endswith(".")
        assert 60 < len(text) < 250
        assert "\n" not in text
