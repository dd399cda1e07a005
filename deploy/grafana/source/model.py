"""What the model answers, and what computes it."""

from __future__ import annotations

from deploy.grafana.source.frame import Frame, Place, Row, Variable
from deploy.grafana.source.panels import (
    GREEN,
    RED,
    YELLOW,
    Query,
    bars,
    fault_count,
    graph,
    heatmap,
    number,
    table,
)
from deploy.grafana.source.promql import (
    gauge,
    growth,
    increase,
    largest,
    quantile,
    rate,
    smallest,
    total,
)

DIGEST = 'digest=~"$digest"'


def _short(expression: str) -> str:
    """Cut the digest to what a legend has room for."""
    return f'label_replace({expression}, "digest", "$1", "digest", "sha256:(.{{12}}).*")'


MODEL = Row(
    "Model",
    (
        Place(
            table(
                "Models",
                "Which model answers where. More than one digest: a change is under way.",
                Query(
                    largest(
                        gauge("classify_model_info", DIGEST),
                        *("instance", "name", "digest", "device", "backend"),
                    )
                ),
                columns={
                    "instance": "Replica",
                    "name": "Model",
                    "digest": "Digest",
                    "device": "Device",
                    "backend": "Backend",
                },
            ),
            12,
            6,
        ),
        Place(
            number(
                "Predictors up",
                "Predictor processes in all chosen replicas.",
                Query(total(gauge("classify_predictor_slots"))),
                unit="short",
                decimals=0,
                steps=((None, RED), (1, GREEN)),
            ),
            4,
            6,
        ),
        Place(
            fault_count(
                "Restarts",
                "Predictor processes started again in the time range, after a crash or a time-out.",
                Query(total(growth("classify_predictor_restarts_total"))),
            ),
            4,
            6,
        ),
        Place(
            number(
                "Time for a batch, 95 %",
                "The predictor's run of a batch, as each of its jobs sees it.",
                Query(quantile(0.95, "classify_stage_duration_seconds", 'stage="infer"')),
                unit="s",
            ),
            4,
            6,
        ),
        Place(
            graph(
                "Changes of the model",
                "Changes while the workers ran, by outcome, and replicas where one is under way."
                " After any but changed and unchanged, the model of before serves on.",
                Query(total(increase("classify_model_changes_total"), "outcome"), "{{outcome}}"),
                Query(total(gauge("classify_model_change_under_way")), "under way"),
                unit="short",
            ),
            24,
            6,
        ),
    ),
)

ANSWERS = Row(
    "Answers",
    (
        Place(
            bars(
                "Classes in the time range",
                "Images by their best class, the 12 most frequent. `other` is every class"
                " beyond the first 100 that occurred.",
                Query(
                    "topk(12, "
                    + total(growth("classify_predictions_total", DIGEST), "class")
                    + " > 0)",
                    "{{class}}",
                ),
                unit="short",
            ),
            8,
            10,
        ),
        Place(
            graph(
                "Class mix",
                "Share of images by best class, the 10 most frequent at each time. A sudden change"
                " is another model, other producers or broken images.",
                Query(
                    "topk(10, "
                    + total(rate("classify_predictions_total", DIGEST), "class")
                    + " / scalar("
                    + total(rate("classify_predictions_total", DIGEST))
                    + ") > 0)",
                    "{{class}}",
                ),
                unit="percentunit",
                stacked=True,
                maximum=1,
            ),
            16,
            10,
        ),
        Place(
            heatmap(
                "Best score",
                "Score of each image's best class, over time.",
                Query(total(increase("classify_best_score_ratio_bucket", DIGEST), "le"), "{{le}}"),
                unit="percentunit",
            ),
            8,
        ),
        Place(
            heatmap(
                "Entropy",
                "Entropy of each image's scores: 0 if one class has all, 1 if all are equal.",
                Query(
                    total(increase("classify_score_entropy_ratio_bucket", DIGEST), "le"), "{{le}}"
                ),
                unit="percentunit",
            ),
            8,
        ),
        Place(
            graph(
                "Certainty by model",
                "Quantiles by digest: half of the images have a best score above the median."
                " Falling scores and growing entropy mean images unlike those that the model has"
                " learnt.",
                Query(
                    _short(quantile(0.5, "classify_best_score_ratio", DIGEST, by=("digest",))),
                    "median score {{digest}}",
                ),
                Query(
                    _short(quantile(0.1, "classify_best_score_ratio", DIGEST, by=("digest",))),
                    "10 % score {{digest}}",
                ),
                Query(
                    _short(quantile(0.5, "classify_score_entropy_ratio", DIGEST, by=("digest",))),
                    "median entropy {{digest}}",
                ),
                unit="percentunit",
                maximum=1,
            ),
            8,
        ),
    ),
)

DRIFT = Row(
    "Drift (with drift.baseline)",
    (
        Place(
            graph(
                "Stability index",
                "How far the last answers of each replica are from the baseline that the model was"
                " evaluated with: the largest index of all replicas. By a rule of thumb, from 0.1"
                " on something has changed, and from 0.25 on much.",
                Query(
                    _short(
                        largest(gauge("classify_drift_stability_index", DIGEST), "kind", "digest")
                    ),
                    "{{kind}} {{digest}}",
                ),
                unit="none",
                steps=((None, GREEN), (0.1, YELLOW), (0.25, RED)),
            ),
            12,
        ),
        Place(
            graph(
                "Answers compared",
                "Last answers that are compared with the baseline. There is no index before a"
                " replica has drift.window of them.",
                Query(gauge("classify_drift_window_images", DIGEST), "{{instance}}"),
                unit="short",
            ),
            8,
        ),
        Place(
            number(
                "Baseline of this model",
                "1: drift.baseline is of the model that answers. 0: of another one in some"
                " replica, so that nothing is compared there.",
                Query(smallest(gauge("classify_drift_baseline_fits", DIGEST))),
                unit="short",
                decimals=0,
                steps=((None, RED), (1, GREEN)),
                latest=True,
            ),
            4,
        ),
    ),
)

SHADOW = Row(
    "Shadow model (with shadow.model)",
    (
        Place(
            table(
                "Shadow models",
                "Which second model is compared with the one that answers, where its processes are"
                " up.",
                Query(
                    largest(gauge("classify_shadow_up"), "instance", "name", "digest", "backend")
                    + " > 0"
                ),
                columns={
                    "instance": "Replica",
                    "name": "Model",
                    "digest": "Digest",
                    "backend": "Backend",
                },
            ),
            8,
        ),
        Place(
            graph(
                "Agreement",
                "Share of the compared images for which both models have the same best class.",
                Query(
                    total(rate("classify_shadow_images_total", 'outcome="agreed"'))
                    + " / "
                    + total(rate("classify_shadow_images_total", 'outcome=~"agreed|differed"')),
                    "same best class",
                ),
                unit="percentunit",
                maximum=1,
            ),
            8,
        ),
        Place(
            graph(
                "Score difference",
                "Median and 95 % of how much higher or lower the second model's best score is.",
                *(
                    Query(
                        quantile(
                            share,
                            "classify_shadow_score_difference_ratio",
                            f'direction="{direction}"',
                        ),
                        f"{direction}, {name}",
                    )
                    for direction in ("higher", "lower")
                    for share, name in ((0.5, "median"), (0.95, "95 %"))
                ),
                unit="percentunit",
            ),
            8,
        ),
        Place(
            graph(
                "What became of the share",
                "Images drawn for the second model. Dropped: there was no idle core for them.",
                Query(total(rate("classify_shadow_images_total"), "outcome"), "{{outcome}}"),
                unit="suffix: images/s",
                stacked=True,
            ),
            8,
        ),
        Place(
            graph(
                "Time for an image",
                "The second model's time for an image alone, at the lowest priority; and the first"
                " model's for a batch.",
                *(
                    Query(quantile(share, "classify_shadow_duration_seconds"), f"second, {name}")
                    for share, name in ((0.5, "median"), (0.95, "95 %"))
                ),
                Query(
                    quantile(0.5, "classify_stage_duration_seconds", 'stage="infer"'),
                    "first, a batch, median",
                ),
                unit="s",
            ),
            8,
        ),
        Place(
            graph(
                "Cores",
                "Processor time of the second model's processes, which take what is left over.",
                Query(rate("classify_shadow_cpu_seconds_total"), "{{instance}}"),
                unit="suffix: cores",
            ),
            4,
        ),
        Place(
            graph(
                "Memory",
                "Resident memory of the second model's processes.",
                Query(gauge("classify_shadow_resident_memory_bytes"), "{{instance}}"),
                unit="bytes",
            ),
            4,
        ),
    ),
)

SLOT = "{{instance}} slot {{slot}}"

PREDICTORS = Row(
    "Predictors",
    (
        Place(
            graph(
                "Busy share",
                "Share of the time in which a slot computes.",
                Query(rate("classify_predictor_busy_seconds_total"), SLOT),
                unit="percentunit",
                maximum=1,
            ),
            6,
        ),
        Place(
            graph(
                "CPU",
                "Cores that a slot's process uses. Much less than its threads while it is busy: the"
                " container's quota holds it back.",
                Query(rate("classify_predictor_cpu_seconds_total"), SLOT),
                unit="suffix: cores",
            ),
            6,
        ),
        Place(
            graph(
                "Memory",
                "Resident memory of a slot's process.",
                Query(gauge("classify_predictor_resident_memory_bytes"), SLOT),
                unit="bytes",
            ),
            6,
        ),
        Place(
            graph(
                "Restarts by cause",
                "Of predictors and image processes. One image that breaks a predictor causes a few,"
                " one that breaks its image process two.",
                Query(
                    total(increase("classify_predictor_restarts_total"), "cause"),
                    "predictor, {{cause}}",
                ),
                Query(
                    total(increase("classify_image_process_restarts_total"), "cause"),
                    "image, {{cause}}",
                ),
                unit="short",
                count=True,
            ),
            6,
        ),
    ),
)

GPU = Row(
    "GPU (where there is one)",
    (
        Place(
            graph(
                "GPU use",
                "Share of time in which the GPU computed, for any process.",
                Query(gauge("classify_gpu_utilization_ratio"), "{{instance}} GPU {{gpu}}"),
                unit="percentunit",
                maximum=1,
            ),
            12,
        ),
        Place(
            graph(
                "GPU memory",
                "In use by any process, and what there is.",
                Query(gauge("classify_gpu_memory_used_bytes"), "{{instance}} GPU {{gpu}} used"),
                Query(gauge("classify_gpu_memory_total_bytes"), "{{instance}} GPU {{gpu}} total"),
                unit="bytes",
            ),
            12,
        ),
    ),
)

DASHBOARD = Frame(
    uid="classify-model",
    title="Model",
    description="What the model answers: classes, scores, entropy; and what computes it.",
    rows=(MODEL, ANSWERS, DRIFT, SHADOW, PREDICTORS, GPU),
    variables=(
        Variable(
            "digest",
            "Digest",
            'label_values(classify_model_info{job=~"$job", name=~"$model"}, digest)',
        ),
    ),
)
