"""The dashboard to open first: are the objectives met, and if not, where to look."""

from __future__ import annotations

from deploy.grafana.source.frame import Frame, Place, Row
from deploy.grafana.source.objectives import OBJECTIVES
from deploy.grafana.source.panels import (
    GREEN,
    ORANGE,
    QUANTILE_COLORS,
    RED,
    YELLOW,
    Query,
    Steps,
    bars,
    graph,
    number,
    table,
)
from deploy.grafana.source.promql import (
    gauge,
    growth,
    largest,
    quantile,
    rate,
    rule,
    total,
)

BOUND = float(OBJECTIVES.bound)
DRAIN_MINUTES = OBJECTIVES.drain / 60

BURN_STEPS = ((None, GREEN), (1, YELLOW), (6, ORANGE), (14.4, RED))
"""Where a budget is spent too fast (1), and where the alerts that page begin."""


def _share_steps(objective: float) -> Steps:
    """Green where the objective is met, red where ten times its budget is spent."""
    return ((None, RED), (round(1 - 10 * (1 - objective), 6), ORANGE), (objective, GREEN))


AT_A_GLANCE = Row(
    "Objectives",
    (
        Place(
            number(
                "Jobs without a fault",
                "Share of jobs in the time range that did not fail by the worker's own fault: those"
                " that are answered, and those whose producer or image host is at fault. The"
                f" objective is {100 * OBJECTIVES.success:g} %.",
                Query(
                    f"1 - {total(growth('classify_jobs_total', OBJECTIVES.faults))}"
                    f" / {total(growth('classify_jobs_total'))}"
                ),
                unit="percentunit",
                decimals=2,
                steps=_share_steps(OBJECTIVES.success),
                latest=True,
            ),
            4,
            5,
        ),
        Place(
            number(
                f"Answered within {BOUND:g} s",
                "Share of jobs in the time range whose answer was acknowledged in time, counted"
                f" from the record's timestamp. The objective is {100 * OBJECTIVES.latency:g} %.",
                Query(
                    total(growth("classify_latency_seconds_bucket", f'le="{OBJECTIVES.bound}"'))
                    + f" / {total(growth('classify_latency_seconds_count'))}"
                ),
                unit="percentunit",
                decimals=2,
                steps=_share_steps(OBJECTIVES.latency),
                latest=True,
            ),
            4,
            5,
        ),
        Place(
            bars(
                "Error budget burn, 1 h",
                "How fast the error budgets are being spent. At 1 a budget lasts exactly as long as"
                " the objective's period; at 14.4 somebody is paged.",
                Query(largest(rule("job:classify_burn:rate1h"), "objective"), "{{objective}}"),
                unit="suffix: x",
                steps=BURN_STEPS,
                maximum=20,
                decimals=1,
            ),
            4,
            5,
        ),
        Place(
            number(
                "Throughput",
                "Jobs that end per second, in all chosen replicas.",
                Query(total(rate("classify_jobs_total"))),
                unit="suffix: jobs/s",
                decimals=1,
                steps=((None, "blue"),),
            ),
            4,
            5,
        ),
        Place(
            number(
                "Time to drain",
                "Time until all waiting jobs are done at the present pace, in the slowest replica."
                f" The objective is {DRAIN_MINUTES:g} minutes.",
                Query(largest(gauge("classify_time_to_drain_seconds"))),
                unit="s",
                decimals=0,
                steps=((None, GREEN), (OBJECTIVES.drain / 2, ORANGE), (OBJECTIVES.drain, RED)),
            ),
            4,
            5,
        ),
        Place(
            number(
                "Replicas ready",
                "Replicas that have partitions, a warm model and are not ending.",
                Query(total(gauge("classify_ready"))),
                unit="short",
                decimals=0,
                steps=((None, RED), (1, GREEN)),
            ),
            4,
            5,
        ),
    ),
)

TRAFFIC = Row(
    "Traffic",
    (
        Place(
            graph(
                "Throughput",
                "Jobs that end per second, by outcome.",
                Query(total(rate("classify_jobs_total"), "outcome"), "{{outcome}}"),
                unit="suffix: jobs/s",
                stacked=True,
                colors={"success": GREEN, "failure": RED},
            ),
            8,
        ),
        Place(
            graph(
                "Latency",
                "From the record's timestamp to the acknowledged result, over all replicas:"
                " quantiles estimated from buckets. The dashed line is the objective's bound.",
                *(
                    Query(quantile(share, "classify_latency_seconds"), name, exemplar=share == 0.99)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ),
                unit="s",
                steps=((None, GREEN), (BOUND, RED)),
                colors=QUANTILE_COLORS,
            ),
            8,
        ),
        Place(
            graph(
                "Error budget burn",
                "Over one hour and over five minutes; an alert needs both. The dashed lines are"
                " where tickets (1) and pages (6, 14.4) begin.",
                Query(largest(rule("job:classify_burn:rate1h"), "objective"), "{{objective}}, 1 h"),
                Query(
                    largest(rule("job:classify_burn:rate5m"), "objective"), "{{objective}}, 5 min"
                ),
                unit="suffix: x",
                steps=BURN_STEPS,
                colors={
                    "success, 1 h": "blue",
                    "success, 5 min": "light-blue",
                    "latency, 1 h": "purple",
                    "latency, 5 min": "light-purple",
                },
            ),
            8,
        ),
    ),
)

BACKLOG = Row(
    "Backlog",
    (
        Place(
            graph(
                "Waiting records",
                "Records from the committed offset to the end of each partition, added up by topic."
                " A number that is high is no fault; see the time to drain.",
                Query(
                    total(
                        largest(gauge("classify_partition_lag_records"), "topic", "partition"),
                        "topic",
                    ),
                    "{{topic}}",
                ),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Time to drain",
                "Time until all waiting jobs of a replica are done at the present pace. Nothing is"
                " drawn while no job ends. The dashed line is the objective.",
                Query(gauge("classify_time_to_drain_seconds"), "{{instance}}"),
                unit="s",
                steps=((None, GREEN), (OBJECTIVES.drain, RED)),
            ),
            8,
        ),
        Place(
            graph(
                "Age of the oldest job in flight",
                "Nothing behind it in its partition can be committed.",
                Query(
                    largest(gauge("classify_partition_oldest_unprocessed_age_seconds"), "instance"),
                    "{{instance}}",
                ),
                unit="s",
            ),
            8,
        ),
    ),
)

ERRORS = Row(
    "Errors and replicas",
    (
        Place(
            graph(
                "Failed jobs by reason",
                "Failures per second; each is answered, and its record is a dead letter.",
                Query(
                    total(rate("classify_jobs_total", 'outcome="failure"'), "reason") + " > 0",
                    "{{reason}}",
                ),
                unit="suffix: jobs/s",
                stacked=True,
                count=True,
            ),
            24,
            7,
        ),
        Place(
            table(
                "Replicas",
                "What runs where, and how much each does.",
                Query(largest(gauge("classify_worker_info"), "instance", "group")),
                Query(largest(gauge("classify_build_info"), "instance", "version")),
                Query(largest(gauge("classify_model_info"), "instance", "name", "backend")),
                Query(largest(gauge("classify_ready"), "instance")),
                Query(total(rate("classify_jobs_total"), "instance")),
                columns={
                    "instance": "Replica",
                    "group": "Group",
                    "version": "Version",
                    "name": "Model",
                    "backend": "Backend",
                    "Value #D": "Ready",
                    "Value #E": "Jobs/s",
                },
                numbers={"Ready": 0, "Jobs/s": 1},
            ),
            16,
            6,
        ),
        Place(
            table(
                "Alerts that fire",
                "Each has an entry in docs/runbook.md.",
                Query(
                    'max by (alertname, severity) (ALERTS{alertname=~"Classify.+",'
                    ' alertstate="firing", job=~"$job"})'
                ),
                columns={"alertname": "Alert", "severity": "Severity"},
            ),
            8,
            6,
        ),
    ),
)

DASHBOARD = Frame(
    uid="classify-overview",
    title="Overview",
    description="Objectives, throughput, backlog, errors, replicas: what to open first.",
    rows=(AT_A_GLANCE, TRAFFIC, BACKLOG, ERRORS),
)
