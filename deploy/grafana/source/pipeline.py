"""Where a job's time goes, and what is full: stages, batches, buffers, the event loop, HTTP."""

from __future__ import annotations

from deploy.grafana.source.frame import Frame, Place, Row
from deploy.grafana.source.panels import (
    GREEN,
    ORANGE,
    QUANTILE_COLORS,
    RED,
    Query,
    graph,
    heatmap,
)
from deploy.grafana.source.promql import gauge, increase, quantile, rate, total


def _lookups(outcome: str | None = None) -> str:
    """Images looked up in the result cache per second, those with one outcome or all."""
    matchers = () if outcome is None else (f'outcome="{outcome}"',)
    return total(rate("classify_result_cache_lookups_total", *matchers))


STAGE_TITLES = {
    "fetch": ("Fetch", "Downloading the image, or reading it from the record."),
    "decode": ("Decode", "Decoding, resizing and cropping in an image process."),
    "batch_wait": ("Wait for a batch", "From a decoded image to the batch that it goes with."),
    "infer": ("Infer", "The predictor's run of the image's batch."),
    "draw": ("Draw", "Drawing the label and encoding the picture."),
    "publish": ("Publish", "From the answer to the brokers' acknowledgement."),
}

STAGES = Row(
    "Stages",
    tuple(
        Place(
            heatmap(
                title,
                f"{meaning} Seconds per job, over all replicas.",
                Query(
                    total(
                        increase("classify_stage_duration_seconds_bucket", f'stage="{stage}"'),
                        "le",
                    ),
                    "{{le}}",
                ),
                unit="s",
            ),
            8,
        )
        for stage, (title, meaning) in STAGE_TITLES.items()
    ),
)

SHARES = Row(
    "What is the bottleneck",
    (
        Place(
            graph(
                "Time in each stage, 95 %",
                "The 95th percentile per job. What waits for a batch waits for a predictor.",
                Query(
                    quantile(0.95, "classify_stage_duration_seconds", by=("stage",)), "{{stage}}"
                ),
                unit="s",
            ),
            8,
        ),
        Place(
            graph(
                "Busy share",
                "Share of the time in which predictor slots compute, and in which image"
                " processes decode and draw. What is near 100 % limits the throughput.",
                Query(
                    f"{total(rate('classify_predictor_busy_seconds_total'))}"
                    f" / {total(gauge('classify_predictor_slots'))}",
                    "predictor slots",
                ),
                Query(
                    f"{total(rate('classify_image_processes_busy_seconds_total'))}"
                    f" / {total(rate('classify_image_processes_up_seconds_total'))}",
                    "image processes",
                ),
                unit="percentunit",
                maximum=1,
            ),
            8,
        ),
        Place(
            graph(
                "Waiting images",
                "Before the processes that decode and draw, and decoded before the predictors.",
                Query(total(gauge("classify_queued_images")), "for a process"),
                Query(total(gauge("classify_ready_images")), "for a batch"),
                unit="short",
            ),
            8,
        ),
    ),
)

BATCHES = Row(
    "Batches",
    (
        Place(
            heatmap(
                "Images per batch",
                "Full batches are efficient; without a backlog small ones are quick.",
                Query(total(increase("classify_batch_size_images_bucket"), "le"), "{{le}}"),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Why batches close",
                "full: the best size is reached. shared: other slots are free too. drained: nothing"
                " more is ready. lingered: the time to wait for more is over.",
                Query(total(rate("classify_batches_total"), "reason"), "{{reason}}"),
                unit="suffix: batches/s",
                stacked=True,
            ),
            8,
        ),
        Place(
            graph(
                "Images through the predictors",
                "More than the jobs that end where batches are tried again after a crash.",
                Query(total(rate("classify_images_total"), "instance"), "{{instance}}"),
                unit="suffix: images/s",
                stacked=True,
            ),
            8,
        ),
    ),
)

FLIGHT = Row(
    "In flight",
    (
        Place(
            graph(
                "Jobs in flight",
                "Taken in and not yet ended; at most intake.max_jobs in each replica.",
                Query(gauge("classify_jobs_in_flight"), "{{instance}}"),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Buffers",
                "Held by jobs in flight (at most about intake.max_bytes in each replica), and"
                " fetched from the brokers but not taken in.",
                Query(total(gauge("classify_buffered_bytes")), "jobs in flight"),
                Query(total(gauge("classify_fetched_bytes")), "fetched"),
                Query(total(gauge("classify_http_buffered_bytes")), "HTTP requests"),
                unit="bytes",
            ),
            8,
        ),
        Place(
            graph(
                "Expired and repeated",
                "Jobs whose deadline passed, jobs that are tried again after a delay, attempts to"
                " fetch that were followed by another, attempts to decode or draw that got no"
                " memory, and records of jobs that were answered before.",
                Query(total(rate("classify_expired_jobs_total"), "when"), "expired {{when}}"),
                Query(total(rate("classify_retries_total"), "delay"), "again in {{delay}}"),
                Query(total(rate("classify_duplicate_jobs_total")), "duplicates"),
                Query(total(rate("classify_fetch_attempts_total")), "fetch repeated"),
                Query(
                    total(rate("classify_memory_shortages_total"), "stage"), "no memory, {{stage}}"
                ),
                unit="suffix:/s",
                count=True,
            ),
            8,
        ),
    ),
)

CACHE = Row(
    "Result cache",
    (
        Place(
            graph(
                "Result cache: hit rate",
                "Share of the images that were answered from the cache, or together with a job"
                " under way that had the same image. Nothing while result_cache.max_entries is 0.",
                Query(
                    f"{_lookups('hit')} / {_lookups()}",
                    "from the cache",
                ),
                Query(f"{_lookups('shared')} / {_lookups()}", "with a job under way"),
                unit="percentunit",
                maximum=1,
                stacked=True,
            ),
            8,
        ),
        Place(
            graph(
                "Results in the cache",
                "At most result_cache.max_entries in each replica.",
                Query(gauge("classify_result_cache_entries"), "{{instance}}"),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Memory of the result cache",
                "At most result_cache.max_bytes in each replica.",
                Query(gauge("classify_result_cache_bytes"), "{{instance}}"),
                unit="bytes",
            ),
            8,
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        Place(
            graph(
                "Delay of the event loop",
                "The longest in the last seconds. Heartbeats and probes are late by as much.",
                Query(gauge("classify_event_loop_lag_seconds"), "{{instance}}"),
                unit="s",
                steps=((None, GREEN), (0.25, ORANGE), (1, RED)),
            ),
            8,
        ),
        Place(
            graph(
                "CPU of the worker's process",
                "And of its image processes, in cores. Predictors are on the dashboard Model.",
                Query(rate("process_cpu_seconds_total"), "{{instance}}"),
                Query(rate("classify_image_processes_cpu_seconds_total"), "{{instance}} images"),
                unit="suffix: cores",
            ),
            8,
        ),
        Place(
            graph(
                "Memory of the worker's process",
                "Resident memory, and that of its image processes together, without predictors.",
                Query(gauge("process_resident_memory_bytes"), "{{instance}}"),
                Query(
                    gauge("classify_image_processes_resident_memory_bytes"), "{{instance}} images"
                ),
                unit="bytes",
            ),
            8,
        ),
        Place(
            graph(
                "Image processes",
                "Those that are up: more than decode.processes while an image takes long.",
                Query(gauge("classify_image_processes"), "{{instance}}"),
                unit="short",
            ),
            6,
        ),
        Place(
            graph(
                "Open files",
                "File descriptors, sockets included, as a share of what is allowed.",
                Query(
                    f"{gauge('process_open_fds')} / {gauge('process_max_fds')}",
                    "{{instance}}",
                ),
                unit="percentunit",
            ),
            6,
        ),
        Place(
            graph(
                "Log lines dropped",
                "Since standard error was not read in time: the log is incomplete.",
                Query(rate("classify_log_lines_dropped_total"), "{{instance}}"),
                unit="suffix: lines/s",
                count=True,
            ),
            6,
        ),
        Place(
            graph(
                "Free space for the cache",
                "Of the disk that holds models and what is made of them.",
                Query(
                    f"{gauge('classify_cache_free_bytes')} / {gauge('classify_cache_size_bytes')}",
                    "{{instance}}",
                ),
                unit="percentunit",
                maximum=1,
                steps=((None, RED), (0.05, GREEN)),
            ),
            6,
        ),
    ),
)

HTTP = Row(
    "HTTP",
    (
        Place(
            graph(
                "Requests",
                "Requests to classify per second, by how they ended.",
                Query(
                    total(rate("classify_http_requests_total"), "outcome"),
                    "{{outcome}}",
                ),
                unit="reqps",
                stacked=True,
                colors={"success": GREEN, "failure": RED},
            ),
            8,
        ),
        Place(
            graph(
                "Duration of requests",
                "From a request's headers to its response: quantiles over all replicas.",
                *(
                    Query(quantile(share, "classify_http_request_duration_seconds"), name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ),
                unit="s",
                colors=QUANTILE_COLORS,
            ),
            8,
        ),
        Place(
            graph(
                "Requests in flight",
                "Requests to classify that are under way.",
                Query(gauge("classify_http_requests_in_flight"), "{{instance}}"),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Connections",
                "Connections that clients have, to all ports of a worker together.",
                Query(gauge("classify_http_connections"), "{{instance}}"),
                unit="short",
            ),
            12,
        ),
        Place(
            graph(
                "Clients turned away",
                "Without a token or certificate that counts, and connections beyond the limit.",
                Query(total(rate("classify_http_turned_away_total"), "cause"), "{{cause}}"),
                unit="cps",
            ),
            12,
        ),
    ),
)

DASHBOARD = Frame(
    uid="classify-pipeline",
    title="Pipeline",
    description="The stages of a job: where its time goes, which buffer is full, what limits.",
    rows=(SHARES, STAGES, BATCHES, FLIGHT, CACHE, PROCESS, HTTP),
)
