"""A small network of machines on this one: each a network namespace with a loopback and an address of its own, on one bridge, or behind
a router that lets nothing in. Files and processes are shared; who needs a data folder of its own is given one. Needs root."""
import contextlib
import ipaddress
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys

INSIDE = "192.168.99"     # behind the router, where nobody else has a route to


def ip(*words, at=None, check=True):
    done = subprocess.run(["ip", *(["-n", at] if at else []), *words], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(words)}{f' in {at}' if at else ''}: {done.stderr.strip()}")
    return done


def why_not():
    """Why no such network can be made here; None: it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in ("ip", "nsenter") if not shutil.which(tool)]:
        return f"{', '.join(missing)} not found: apt-get install iproute2 util-linux"
    try:
        with Network():
            return None
    except RuntimeError as failed:
        return str(failed)


class Machine:
    def __init__(self, space, address):
        self.space, self.address = space, address

    @property
    def prefix(self):
        """Words before a command that has to run there."""
        return ("nsenter", f"--net=/run/netns/{self.space}", "--")

    def reaches(self, address, port):
        """Whether a connection from there to that place comes about."""
        code = f"import socket; socket.create_connection(({address!r}, {port}), timeout=2)"
        return subprocess.run([*self.prefix, sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


class Network:
    """`with Network() as net`: net.machine("a") has an address on the bridge that this process reaches, too."""

    def __init__(self):
        self.id = f"gantry{os.getpid()}"
        self.base = ipaddress.ip_address("198.18.0.0") + 256 * (os.getpid() % 500)   # for benchmarks (RFC 2544): nobody's
        self.outside = f"gt{os.getpid()}"          # our end of a cable to the bridge
        self.hosts = 1
        self.spaces, self.processes = [], []

    def __enter__(self):
        try:
            self.hub = self.space("hub")
            ip("link", "add", "br0", "type", "bridge", at=self.hub)
            ip("link", "set", "br0", "up", at=self.hub)
            ip("link", "add", self.outside, "type", "veth", "peer", "name", "outside", "netns", self.hub)
            ip("link", "set", "outside", "master", "br0", "up", at=self.hub)
            ip("address", "add", f"{self.base + 254}/24", "dev", self.outside)
            ip("link", "set", self.outside, "up")
        except Exception:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        ip("link", "delete", self.outside, check=False)
        for space in self.spaces:
            ip("netns", "delete", space, check=False)

    def space(self, name):
        space = f"{self.id}-{name}"
        ip("netns", "add", space)
        self.spaces.append(space)
        ip("link", "set", "lo", "up", at=space)
        return space

    def machine(self, name):
        space, address = self.space(name), str(self.base + self.hosts)
        self.hosts += 1
        ip("link", "add", name, "netns", self.hub, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", name, "master", "br0", "up", at=self.hub)
        ip("address", "add", f"{address}/24", "dev", "eth0", at=space)
        ip("link", "set", "eth0", "up", at=space)
        return Machine(space, address)

    def hidden_machine(self, name, router):
        """One whose only cable leads to `router`, which routes nothing: what goes out goes through router.forward()."""
        space = self.space(name)
        ip("link", "add", "inside", "netns", router.space, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("address", "add", f"{INSIDE}.1/24", "dev", "inside", at=router.space)
        ip("link", "set", "inside", "up", at=router.space)
        ip("address", "add", f"{INSIDE}.2/24", "dev", "eth0", at=space)
        ip("link", "set", "eth0", "up", at=space)
        return Machine(space, f"{INSIDE}.2")

    def forward(self, router, port, to):
        """The router's user-space NAT: connections from inside to its own address go on to `to` from its outer one. Killed: all break."""
        process = subprocess.Popen([*router.prefix, sys.executable, __file__, INSIDE + ".1", str(port), to], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "forwards\n"
        return process

    def cut(self, name):
        """The switch lets nothing through to that machine any more: no end is told to anybody, packets are gone."""
        ip("link", "set", name, "nomaster", at=self.hub)

    def heal(self, name):
        ip("link", "set", name, "master", "br0", at=self.hub)


class Forwarder:
    """Copies what comes on each connection to one of its own, both ways, by one thread; waits while a reader is slow."""

    def __init__(self, host, port, to):
        self.to = (to, port)
        self.ready = selectors.DefaultSelector()
        listener = socket.create_server((host, port), backlog=512)
        self.ready.register(listener, selectors.EVENT_READ, self.accept)

    def run(self):
        print("forwards", flush=True)
        while True:
            for key, _ in self.ready.select():
                if key.fileobj.fileno() >= 0:      # not closed by an event before it
                    key.data(key.fileobj)

    def accept(self, listener):
        near, _ = listener.accept()
        try:
            far = socket.create_connection(self.to, timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        near.settimeout(None)
        for one, other in ((near, far), (far, near)):
            self.ready.register(one, selectors.EVENT_READ, lambda source, to=other: self.copy(source, to))

    def copy(self, source, to):
        with contextlib.suppress(OSError):
            if data := source.recv(65536):
                to.sendall(data)
                return
        for one in (source, to):
            self.ready.unregister(one)
            one.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)   # the terminal's Ctrl-C is for the test, which ends this
    Forwarder(sys.argv[1], int(sys.argv[2]), sys.argv[3]).run()
