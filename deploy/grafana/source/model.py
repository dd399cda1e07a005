"""What the model answers, and what computes it."""

from __future__ import annotations

from deploy.grafana.source.frame import Frame, Place, Row, Variable
from deploy.grafana.source.panels import (
    GREEN,
    RED,
    Query,
    bars,
    fault_count,
    graph,
    heatmap,
    number,
    table,
)
from deploy.grafana.source.promql import gauge, growth, increase, largest, quantile, rate, total

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
    rows=(MODEL, ANSWERS, PREDICTORS, GPU),
    variables=(
        Variable(
            "digest",
            "Digest",
            'label_values(classify_model_info{job=~"$job", name=~"$model"}, digest)',
        ),
    ),
)
