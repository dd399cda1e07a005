"""In which order a fetch asks for partitions, and for how many bytes of each; no I/O."""

from __future__ import annotations

from aiokafka import TopicPartition

__all__ = ["FetchPlan"]

Topics = list[tuple[str, list[tuple[int, int, int]]]]
"""As in aiokafka's request: of each topic its partitions, each with its offset and most bytes."""


class FetchPlan:
    """What is known of one broker's partitions in one assignment, for the next fetches.

    A broker goes through a request in its order until the answer is full. The first batch that it
    finds it sends whatever its size, any later one only if it fits into what is asked for of its
    partition (KIP-74). So with many partitions, of each of which little is asked for, large records
    would come one per fetch. A partition whose next batch did not fit is asked for more; and the
    partition that has had nothing for longest comes first, since a batch that fits nowhere else
    comes there.

    Topics take turns too, each with all its partitions, and a topic's turn is over when it had an
    answer's first batch. If it were over with any batch, two topics that both have something in
    each answer would keep their order, and what comes only as the first batch would wait in the
    later one for as long as the earlier one has a backlog. If a topic came as early as its first
    partition, one that never has anything would put its topic before all others in the same way.

    So each partition has its turn, whatever others have: of the answers with batches, at the latest
    in as many as there are topics, times the partitions of its topic.
    """

    def __init__(self) -> None:
        # Bytes that hold the next batch, as far as is known.
        self._needed: dict[TopicPartition, int] = {}
        # When each partition last had batches, and each topic an answer's first one, counted in
        # batches' arrivals.
        self._had: dict[TopicPartition, int] = {}
        self._topic_had: dict[str, int] = {}
        self._arrivals = 0

    def arrange(self, topics: Topics, most: int) -> Topics:
        """Arrange a request's partitions.

        Args:
            topics: as they are to be asked for, with the share of each partition.
            most: bytes that are asked for of a partition at most.

        Returns:
            The same partitions, in order; those of a topic follow each other.
        """
        had, needed = self._had, self._needed
        arranged: Topics = []
        # Those that are equal stay as aiokafka has shuffled them.
        for topic, partitions in sorted(topics, key=lambda each: self._topic_had.get(each[0], 0)):
            flat = [
                (had.get(partition := TopicPartition(topic, number), 0), partition, offset, share)
                for number, offset, share in partitions
            ]
            flat.sort(key=lambda each: each[0])
            asked = [
                (partition.partition, offset, max(share, min(needed.get(partition, 0), most)))
                for _, partition, offset, share in flat
            ]
            arranged.append((topic, asked))
        return arranged

    def note_came(self, partition: TopicPartition, batch: int, *, first: bool) -> None:
        """Take note that batches of a partition came.

        Args:
            batch: bytes of the first of them.
            first: whether nothing came before them in the same answer.
        """
        self._arrivals += 1
        self._had[partition] = self._arrivals
        if first:
            self._topic_had[partition.topic] = self._arrivals
        # The next one may be a little larger.
        self._needed[partition] = batch + batch // 4

    def note_too_large(self, partition: TopicPartition, asked: int) -> None:
        """Take note that the next batch of a partition is larger than what was asked for."""
        self._needed[partition] = 2 * asked
