"""The links that stories of peers are told with do what they are told, and nothing else: each fault with its twin."""
import contextlib
import socket
import threading
import time

import pytest

from hubd import free_port
from peers import RELAY, Relay

MIB = 1 << 20
pytestmark = pytest.mark.skipif(not RELAY.exists(), reason="needs `make helpers`")


class Target:
    """Answers each line "N" with N bytes, and tells when a line came."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self.listener.getsockname()[1], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, conn):
        with conn, contextlib.suppress(OSError):
            for line in conn.makefile("rb"):
                self.heard.append(time.monotonic())
                conn.sendall(b"x" * int(line))


class Client:
    def __init__(self, port, source=None):
        self.conn = socket.create_connection(("127.1.0.1", port), 10, source and (source, 0))

    def ask(self, count):
        self.conn.sendall(b"%d\n" % count)

    def get(self, count, seconds=10):
        """So many bytes, or those that came in the time."""
        got, until = 0, time.monotonic() + seconds
        while got < count and (rest := until - time.monotonic()) > 0:
            self.conn.settimeout(rest)
            try:
                piece = self.conn.recv(min(MIB, count - got))
            except TimeoutError:
                break
            if not piece:
                break
            got += len(piece)
        return got


@pytest.fixture
def target():
    made = Target()
    yield made
    made.listener.close()


@pytest.fixture
def relay(tmp_path):
    made = Relay(tmp_path / "relay.log")
    yield made
    assert made.close() == 0


@pytest.fixture
def link(relay, target):
    """link(up, down, delay_ms): a pair "a"; its port."""
    def make(up=0, down=0, delay_ms=0):
        port = free_port()
        relay.pair("a", f"127.1.0.1:{port}", f"127.0.0.1:{target.port}", up, down, delay_ms)
        return port
    return make


def seconds_of(call, *args):
    begun = time.monotonic()
    call(*args)
    return time.monotonic() - begun


def test_bytes_pass_and_are_counted(relay, link):
    client = Client(link())
    for count in 3 * MIB, 5:
        client.ask(count)
        assert client.get(count) == count
    assert relay.counts() == {"a": [len("3145728\n5\n"), 3 * MIB + 5, 1, 2]}


@pytest.mark.parametrize("down, least, most", [(2 * MIB, 0.8, 3), (0, 0, 0.5)])
def test_all_connections_share_a_rate(link, down, least, most):
    port = link(down=down)
    clients = [Client(port) for _ in range(8)]
    for client in clients:
        client.ask(MIB // 4)
    took = seconds_of(lambda: [c.get(MIB // 4) for c in clients])
    assert least <= took <= most


def test_each_of_many_connections_gets_its_part_of_a_rate(relay, link):
    port = link(down=2 * MIB)
    clients = [Client(port) for _ in range(40)]
    for client in clients:
        client.ask(MIB)
    time.sleep(2)
    got = [client.get(MIB, 0.001) for client in clients]
    assert min(got) > 0 and sum(got) <= 7 * MIB


def test_what_one_client_gets_is_limited_by_its_own_link(relay, link):
    port = link()
    relay.link("127.1.0.9", MIB)
    slow, fast = Client(port, "127.1.0.9"), Client(port, "127.1.0.8")
    slow.ask(MIB), fast.ask(MIB)
    assert seconds_of(fast.get, MIB) < 0.5
    assert 0.7 < seconds_of(slow.get, MIB) < 3


@pytest.mark.parametrize("delay_ms", [0, 100])
def test_a_delay_holds_up_both_ways(link, delay_ms):
    client = Client(link(delay_ms=delay_ms))
    client.ask(1)
    took = seconds_of(client.get, 1)
    assert 2 * delay_ms / 1000 <= took < 2 * delay_ms / 1000 + 0.3


def test_a_delay_does_not_make_a_link_narrow(link):
    client = Client(link(delay_ms=50))
    client.ask(20 * MIB)
    assert seconds_of(client.get, 20 * MIB) < 3


def test_a_link_that_hangs_takes_connections_and_says_nothing_until_it_is_up(relay, link, target):
    port = link()
    before = Client(port)
    relay.hang("a")
    after = Client(port)
    before.ask(10), after.ask(10)
    assert (before.get(10, 0.3), after.get(10, 0.1), target.heard) == (0, 0, [])
    relay.up("a")
    assert (before.get(10), after.get(10)) == (10, 10)


def test_a_link_of_one_way_lets_requests_through_and_no_answer(relay, link, target):
    client = Client(link())
    relay.oneway("a")
    client.ask(10)
    assert client.get(10, 0.3) == 0 and len(target.heard) == 1
    relay.up("a")
    assert client.get(10) == 10


def test_a_cut_ends_connections_and_new_ones_go_well(relay, link):
    port = link()
    client = Client(port)
    client.ask(1), client.get(1)
    relay.cut("a")
    with pytest.raises(ConnectionResetError):
        client.conn.recv(1)
    again = Client(port)
    again.ask(1)
    assert again.get(1) == 1


def test_a_link_that_is_down_refuses_until_it_is_up(relay, link):
    port = link()
    relay.down("a")
    with pytest.raises(ConnectionRefusedError):
        Client(port)
    relay.up("a")
    client = Client(port)
    client.ask(1)
    assert client.get(1) == 1


def test_a_link_that_drips_goes_on_at_full_speed_when_told(relay, link):
    client = Client(link())
    relay.rate("a", 0, 10)
    client.ask(MIB)
    assert 5 <= client.get(MIB, 1.5) <= 40
    relay.rate("a", 0, 0)
    assert client.get(MIB - 40, 5) >= MIB - 40


def test_sides_do_not_reach_each_other(relay, link):
    port = link()
    near, far = Client(port, "127.1.0.7"), Client(port, "127.1.0.8")
    for address, side in ("127.1.0.1", 1), ("127.1.0.7", 1), ("127.1.0.8", 2):
        relay.side(address, side)
    near.ask(10), far.ask(10)
    assert (near.get(10), far.get(10, 0.3)) == (10, 0)
    relay.side("127.1.0.8", 0)
    assert far.get(10) == 10


def test_a_target_that_is_gone_resets(relay, target):
    port = free_port()
    relay.pair("b", f"127.1.0.1:{port}", f"127.0.0.1:{free_port()}", 0, 0, 0)
    with pytest.raises(ConnectionResetError):
        Client(port).conn.recv(1)


def test_the_last_bytes_before_an_end_arrive(relay, link):
    """Both ends close; nothing of what was said before is lost."""
    client = Client(link(down=4 * MIB))
    client.ask(MIB)
    client.conn.shutdown(socket.SHUT_WR)
    assert client.get(2 * MIB) == MIB


def test_what_makes_no_sense_is_told(relay):
    for words in ("hang", "none"), ("pair", "a", "nowhere", "x", 0, 0, 0), ("dance",), ("side", "x", 1):
        with pytest.raises(ValueError):
            getattr(relay, words[0])(*words[1:])
