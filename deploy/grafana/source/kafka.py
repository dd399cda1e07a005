"""The worker as a member of its consumer group: lag, rebalances, commits, dead letters."""

from __future__ import annotations

from deploy.grafana.source.frame import Frame, Place, Row, Variable
from deploy.grafana.source.panels import (
    GREEN,
    ORANGE,
    RED,
    Query,
    bars,
    fault_count,
    graph,
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

TOPIC = 'topic=~"$topic"'
PARTITION = "{{topic}} {{partition}}"

LAG = Row(
    "Lag",
    (
        Place(
            graph(
                "Waiting records by partition",
                "From the committed offset to the partition's end. One line far above the others is"
                " a partition that is stuck, or a key that is much used. Records in retry topics"
                " wait on purpose.",
                Query(
                    largest(gauge("classify_partition_lag_records", TOPIC), "topic", "partition"),
                    PARTITION,
                ),
                Query(
                    largest(gauge("classify_retry_waiting_records", TOPIC), "topic", "partition"),
                    PARTITION,
                ),
                unit="short",
            ),
            7,
        ),
        Place(
            graph(
                "Age of the oldest job in flight by partition",
                "0 when a partition is idle.",
                Query(
                    largest(
                        gauge("classify_partition_oldest_unprocessed_age_seconds", TOPIC),
                        "topic",
                        "partition",
                    ),
                    PARTITION,
                ),
                unit="s",
            ),
            7,
        ),
        Place(
            table(
                "Partitions",
                "Which replica has which partition. Unreadable: damaged at the broker.",
                Query(
                    largest(
                        gauge("classify_partition_lag_records", TOPIC),
                        *("topic", "partition", "instance"),
                    )
                ),
                Query(
                    largest(
                        gauge("classify_partition_unreadable", TOPIC),
                        *("topic", "partition", "instance"),
                    )
                ),
                columns={
                    "topic": "Topic",
                    "partition": "Partition",
                    "instance": "Replica",
                    "Value #A": "Waiting",
                    "Value #B": "Unreadable",
                },
                numbers={"Partition": 0, "Waiting": 0, "Unreadable": 0},
            ),
            10,
        ),
    ),
)

GROUP = Row(
    "Group",
    (
        Place(
            graph(
                "Assigned and paused partitions",
                "A partition is paused while work is at a limit: that is back-pressure, no fault.",
                Query(gauge("classify_assigned_partitions"), "{{instance}} assigned"),
                Query(gauge("classify_paused_partitions"), "{{instance}} paused"),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Rebalances",
                "Times that partitions were assigned. Each stops the whole group for a while.",
                Query(total(increase("classify_rebalances_total"), "instance"), "{{instance}}"),
                unit="short",
                count=True,
            ),
            8,
        ),
        Place(
            graph(
                "How long rebalances and drains take",
                "The 95th percentile: from the end of intake to the new assignment, and the time"
                " that running jobs got to end.",
                Query(quantile(0.95, "classify_rebalance_duration_seconds"), "rebalance"),
                Query(
                    quantile(0.95, "classify_drain_duration_seconds", by=("cause",)),
                    "drain, {{cause}}",
                ),
                unit="s",
            ),
            8,
        ),
        Place(
            graph(
                "Given up and delivered again",
                "Drains that were too short, and the jobs that were given up with their partition.",
                Query(
                    total(increase("classify_drain_overruns_total"), "cause"),
                    "drain overrun, {{cause}}",
                ),
                Query(total(increase("classify_abandoned_jobs_total")), "jobs given up"),
                unit="short",
                count=True,
            ),
            8,
        ),
        Place(
            graph(
                "Connected",
                "1 while the client is connected: the consumer to the group's coordinator.",
                Query(
                    smallest(gauge("classify_kafka_connected"), "instance", "client"),
                    "{{instance}} {{client}}",
                ),
                unit="short",
                maximum=1,
            ),
            8,
        ),
        Place(
            graph(
                "Age of what is known of the partitions' ends",
                "Lag and time to drain are as old as this. More than a few seconds: the brokers do"
                " not answer.",
                Query(gauge("classify_lag_age_seconds"), "{{instance}}"),
                unit="s",
                steps=((None, GREEN), (15, ORANGE)),
            ),
            8,
        ),
    ),
)

COMMITS = Row(
    "Commits",
    (
        Place(
            graph(
                "Commits",
                "Offset commits per second by outcome.",
                Query(total(rate("classify_commits_total"), "outcome"), "{{outcome}}"),
                unit="suffix:/s",
                colors={"success": GREEN, "failure": RED},
            ),
            8,
        ),
        Place(
            graph(
                "Time since the last commit",
                "It grows while a replica has nothing to do, too.",
                Query(
                    f"time() - ({gauge('classify_last_commit_timestamp_seconds')} > 0)",
                    "{{instance}}",
                ),
                unit="s",
            ),
            8,
        ),
        Place(
            fault_count(
                "Records lost to retention",
                "Records in the time range that were deleted before the group had read them.",
                Query(total(growth("classify_lost_records_total"))),
            ),
            4,
        ),
        Place(
            fault_count(
                "Answers that were refused",
                "Messages in the time range that their topic refused for good in every form: the"
                " job went on without.",
                Query(total(growth("classify_set_aside_messages_total"))),
            ),
            4,
        ),
        Place(
            graph(
                "Transactions",
                "With delivery: exactly_once, per second by outcome. Fenced: another owner of the"
                " partition has begun, or a transaction timed out.",
                Query(total(rate("classify_transactions_total"), "outcome"), "{{outcome}}"),
                unit="suffix:/s",
                colors={"committed": GREEN, "aborted": ORANGE, "fenced": RED},
            ),
            8,
        ),
        Place(
            graph(
                "Duration of transactions",
                "Results wait for it, and for the next one to begin.",
                Query(quantile(0.5, "classify_transaction_duration_seconds"), "median"),
                Query(quantile(0.95, "classify_transaction_duration_seconds"), "95th percentile"),
                unit="s",
            ),
            8,
        ),
        Place(
            graph(
                "Jobs in a transaction",
                "With 1 or 2 at saturation, transactions are what limits a partition.",
                Query(quantile(0.5, "classify_transaction_records"), "median"),
                unit="short",
            ),
            8,
        ),
    ),
)

MESSAGES = Row(
    "Messages",
    (
        Place(
            graph(
                "Dead letters by reason",
                "Records sent to the dead-letter topic per second.",
                Query(f"{total(rate('classify_dead_letters_total'), 'reason')} > 0", "{{reason}}"),
                unit="suffix:/s",
                count=True,
                stacked=True,
            ),
            8,
        ),
        Place(
            bars(
                "Dead letters in the time range",
                "By stage and reason.",
                Query(
                    f"{total(growth('classify_dead_letters_total'), 'stage', 'reason')} > 0",
                    "{{stage}}: {{reason}}",
                ),
                unit="short",
            ),
            8,
        ),
        Place(
            graph(
                "Messages sent again, and reduced",
                "Sent again: the brokers did not acknowledge. Reduced: without its picture (result)"
                " or value (dead letter), to fit the topic.",
                Query(total(rate("classify_publish_retries_total")), "sent again"),
                Query(
                    total(rate("classify_reduced_messages_total"), "topic"), "reduced, {{topic}}"
                ),
                Query(
                    total(rate("classify_unreadable_batches_total"), "kind"),
                    "unreadable batch, {{kind}}",
                ),
                unit="suffix:/s",
                count=True,
            ),
            8,
        ),
    ),
)

DASHBOARD = Frame(
    uid="classify-kafka",
    title="Kafka",
    description="Lag and age by partition, rebalances, commits, dead letters by reason.",
    rows=(LAG, GROUP, COMMITS, MESSAGES),
    variables=(
        Variable(
            "topic",
            "Topic",
            'label_values(classify_partition_lag_records{job=~"$job"}, topic)',
        ),
    ),
)
