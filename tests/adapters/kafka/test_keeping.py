"""Places of receivers that rest are committed again, and nobody is moved."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException

from insula.adapters.kafka.channels import Place, Topic
from insula.adapters.kafka.keeping import PlaceKeeper

TOPIC = Topic("insula-source", "id", 2)


class Brokers:
    """Remember places, and who has committed them again."""

    def __init__(self) -> None:
        self.known: dict[str, dict[int, Place]] = {}
        self.committed: list[tuple[str, Mapping[int, int]]] = []
        self.are_away = False

    def put(self, receiver: str, *offsets: int, topic_id: str = "id") -> None:
        self.known[receiver] = {partition: Place(at, topic_id) for partition, at in enumerate(offsets)}

    async def places(self, topic: Topic, receiver: str) -> Mapping[int, Place]:
        if self.are_away:
            raise KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT))
        return dict(self.known.get(receiver, {}))

    async def remember(self, topic: Topic, receiver: str, offsets: Mapping[int, int]) -> None:
        if offsets:
            self.committed.append((receiver, offsets))


async def test_what_has_not_moved_since_the_last_time_is_committed_again() -> None:
    brokers = Brokers()
    brokers.put("resting", 3, 4)
    brokers.put("moving", 1, 9)
    keeper = PlaceKeeper(brokers)
    keeper.watch(TOPIC, ["resting", "moving"])
    await keeper.keep()
    assert brokers.committed == []
    brokers.put("moving", 2, 9)
    await keeper.keep()
    assert brokers.committed == [("resting", {0: 3, 1: 4}), ("moving", {1: 9})]
    await keeper.close()


async def test_a_place_in_a_topic_that_is_no_more_is_left_to_be_forgotten() -> None:
    brokers = Brokers()
    brokers.put("reading", 3, 4, topic_id="another")
    keeper = PlaceKeeper(brokers)
    keeper.watch(TOPIC, ["reading"])
    await keeper.keep()
    await keeper.keep()
    assert brokers.committed == []
    await keeper.close()


async def test_brokers_that_are_away_are_asked_again() -> None:
    brokers = Brokers()
    brokers.put("reading", 3)
    keeper = PlaceKeeper(brokers)
    keeper.watch(TOPIC, ["reading"])
    await keeper.keep()
    brokers.are_away = True
    await keeper.keep()
    brokers.are_away = False
    await keeper.keep()
    assert brokers.committed == [("reading", {0: 3})]
    await keeper.close()
