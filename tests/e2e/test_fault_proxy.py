"""The proxy that stands in for bad networks does what it says: tests that trust it would else pass for nothing."""
import socket
import threading
import time

import pytest

from conftest import until
from fault_proxy import FaultProxy


def echo(listener):
    def serve(one):
        try:
            while data := one.recv(65536):
                one.sendall(data)
            one.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def accept():
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(one,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as one:
        echo(one)
        yield one


@pytest.fixture
def proxy(listener):
    with FaultProxy(listener.getsockname()[1]) as one:
        yield one


def connect(proxy):
    one = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    one.sendall(b"hello")
    assert one.recv(5) == b"hello"
    return one


def test_it_forwards_and_tells_ends(proxy):
    with connect(proxy) as one:
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    assert (proxy.bytes["up"], proxy.bytes["down"], proxy.connections) == (5, 5, 1)


def test_it_delays_each_way_and_keeps_what_is_under_way_apart(proxy):
    proxy.delay_s = 0.1
    began = time.monotonic()
    with connect(proxy) as one:
        assert time.monotonic() - began >= 0.2
        for _ in range(10):
            one.sendall(b"x")
        got = b""
        while len(got) < 10:
            got += one.recv(10)
        assert time.monotonic() - began < 1.2, "ten under way at once are not ten delays"


def test_it_is_as_slow_as_it_is_told(proxy):
    with connect(proxy) as one:
        proxy.bytes_per_s = 10_000
        began = time.monotonic()
        one.sendall(b"x" * 1000)
        assert len(one.recv(1000)) > 0 and time.monotonic() - began >= 0.2


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_is_frozen_stays_on_its_way(proxy, way):
    with connect(proxy) as one:
        proxy.freeze(way)
        one.sendall(b"late")
        until(lambda: proxy.bytes["up"] == (5 if way == "up" else 9), "it went as far as it may")
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(4)
        one.settimeout(10)
        proxy.thaw()
        assert one.recv(4) == b"late"


def test_it_cuts(proxy):
    with connect(proxy) as one, connect(proxy) as two:
        proxy.cut("rst")
        for each in (one, two):
            with pytest.raises(ConnectionResetError):
                each.recv(1)
    with connect(proxy) as one:
        proxy.cut("fin")
        assert one.recv(1) == b""


def test_it_cuts_after_so_many_bytes(proxy):
    with connect(proxy) as one:
        proxy.cut_after(3, "down", "fin")
        one.sendall(b"abcdef")
        got = b""
        while piece := one.recv(6):
            got += piece
        assert got == b"abc"
    connect(proxy).close()


def test_it_refuses(proxy):
    proxy.refuse(True)
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as one:
        one.recv(1)
    proxy.refuse(False)
    connect(proxy).close()


def test_unix_sockets_too(tmp_path):
    inner, outer = str(tmp_path / "inner"), str(tmp_path / "outer")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(inner)
        listener.listen()
        echo(listener)
        with FaultProxy(inner, listen=outer), socket.socket(socket.AF_UNIX) as one:
            one.connect(outer)
            one.sendall(b"hello")
            assert one.recv(5) == b"hello"
