"""Events of a stream, however it is cut into pieces."""

from hypothesis import given
from hypothesis import strategies as st

from tcalloc.llm.http.streams import EventBytes

PARTS = st.sampled_from([b"data: a", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r", b"\xef\xbb\xbf", b"x", b""])


@given(st.lists(PARTS, max_size=12).map(b"".join), st.data())
def test_pieces_of_any_size_are_the_same_events(body, data):
    events, found, left = EventBytes(), [], body
    while left:
        size = data.draw(st.integers(1, len(left)))
        found += events.feed(left[:size])
        left = left[size:]
    found += events.feed(b"", last=True)
    assert found == EventBytes().feed(body, last=True)
    assert b"\n\n".join(found) == body.replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf")


def test_an_event_is_there_as_soon_as_it_is_complete():
    for end in ((b"\n", b"\n"), (b"\r\n\r", b"\n"), (b"\r", b"\n\r\n")):
        events = EventBytes()
        assert events.feed(b"a") == events.feed(end[0]) == []
        assert events.feed(end[1]) == [b"a"]


def test_a_stream_without_events_takes_time_by_its_size():
    # If every piece looked at all bytes before it, these would be 128 GB.
    events = EventBytes()
    for _ in range(16_000):
        assert events.feed(b"x" * 1_000) == []
    assert len(events.feed(b"\n\n")[0]) == 16_000_000
