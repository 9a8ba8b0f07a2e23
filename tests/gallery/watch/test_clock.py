"""When frames were taken, whatever the network does to their packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personsearch.gallery.watch.clock import MOST_LATE, StreamClock


def test_a_network_that_delays_some_packets_delays_no_frame() -> None:
    clock = StreamClock()
    delays = [0.0, 0.3, 1.9, 0.0, 0.7]
    taken = [clock.arrived(5.0 + n, 100.0 + n + delay) for n, delay in enumerate(delays)]
    assert taken == pytest.approx([100.0 + n for n in range(5)], abs=0.002)
    assert clock.taken(7.5, 110.0) == pytest.approx(102.5, abs=0.002)


def test_a_first_packet_that_was_late_is_corrected_by_a_faster_one() -> None:
    clock = StreamClock()
    assert clock.arrived(0.0, 102.0) == 102.0
    assert clock.arrived(1.0, 101.0 + 1.0) == 102.0
    assert clock.arrived(2.0, 102.5) == 102.5


def test_time_that_starts_again_is_followed() -> None:
    clock = StreamClock()
    clock.arrived(1000.0, 50.0)
    assert clock.arrived(3.0, 51.0) == 51.0
    assert clock.arrived(4.0, 52.0 + MOST_LATE + 1) == 52.0 + MOST_LATE + 1
    assert clock.arrived(90_000.0, 90.0) == 90.0


def test_a_slow_oscillator_is_no_delay() -> None:
    """The camera's second is 1.00005 of ours: after a day it lags by four seconds."""
    clock = StreamClock()
    for second in range(0, 86_400, 10):
        taken = clock.arrived(second / 1.00005, float(second))
    assert taken == pytest.approx(86_390.0, abs=0.01)


def test_a_frame_without_a_timestamp_was_taken_when_it_came() -> None:
    clock = StreamClock()
    assert (clock.arrived(None, 7.0), clock.taken(None, 8.0), clock.taken(1.0, 9.0)) == (7.0, 8.0, 9.0)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 60)), min_size=1))
def test_no_frame_was_taken_after_it_came(packets: list[tuple[float, float]]) -> None:
    clock, now = StreamClock(), 0.0
    for timestamp, passed in packets:
        now += passed
        assert clock.arrived(timestamp, now) <= now + 1e-6
