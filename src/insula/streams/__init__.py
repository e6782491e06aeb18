"""Streams: bounded channels between tasks and threads, and flows of stages with demand that goes upstream."""

from insula.streams.blocking import BlockingEnd
from insula.streams.channel import Channel
from insula.streams.counters import Counters
from insula.streams.delivery import Delivery
from insula.streams.errors import ChannelClosed, ChannelFull, ReceiverGone, SenderGone
from insula.streams.flow import Flow
from insula.streams.grouping import Window
from insula.streams.overflow import Overflow

__all__ = [
    "BlockingEnd",
    "Channel",
    "ChannelClosed",
    "ChannelFull",
    "Counters",
    "Delivery",
    "Flow",
    "Overflow",
    "ReceiverGone",
    "SenderGone",
    "Window",
]
