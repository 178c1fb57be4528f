"""A line with a delay: a network namespace from which the loopback address leads to that of this one, so many
milliseconds away, there and back together. Whole packets are kept (kernels without netem have nothing else), so that
windows, slow starts and acknowledgements are those of the system's own TCP, with the congestion control of most
distributions.

Started as root with the namespace's name and the milliseconds; says "ready"; ends, and removes it, with its input.
"""
import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

name, delay = sys.argv[1], float(sys.argv[2]) / 2000
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x1000, 0x4000
# The sender's checksums and segments of up to 64 KiB go through as they are.
CHECKSUMS, SEGMENTS = 0x1, 0x2
LONGEST = 65536 + 64


def interface(device):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tun, TUNSETOFFLOAD, CHECKSUMS | SEGMENTS)
    return tun


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def connect():
    number = os.getpid() % 16384
    here, there = f"vd{number}s", f"vd{number}c"
    address = f"10.{64 + number // 256}.{number % 256}."
    ends = interface(here), interface(there)
    inside = ["-n", name]
    ip("link", "set", there, "netns", name)
    ip("addr", "add", f"{address}1/30", "dev", here)
    ip("link", "set", here, "up", "txqueuelen", "10000")
    ip(*inside, "addr", "add", f"{address}2/30", "dev", there)
    ip(*inside, "link", "set", there, "up", "txqueuelen", "10000")
    # The loopback address is one like others where a device says so, and is not the namespace's own: it has none.
    localnet = "net/ipv4/conf/{}/route_localnet"
    with open("/proc/sys/" + localnet.format(here), "w") as setting:
        setting.write("1")
    command = f"echo 1 > /proc/sys/{localnet.format(there)}"
    subprocess.run(["ip", "netns", "exec", name, "sh", "-c", command], check=True)
    ip(*inside, "route", "add", "127.0.0.1", "dev", there, "src", f"{address}2", "congctl", "cubic")
    ip("route", "replace", f"{address}2", "dev", here, "congctl", "cubic")
    return ends


def carry(here, there):
    waiting = {here: collections.deque(), there: collections.deque()}
    other = {here: there, there: here}
    while True:
        due = [packets[0][0] for packets in waiting.values() if packets]
        wait = max(0, min(due) - time.monotonic()) if due else None
        ready, _, _ = select.select([here, there, 0], [], [], wait)
        if 0 in ready and not os.read(0, 1):
            return
        now = time.monotonic()
        for end in (here, there):
            packets = waiting[end]
            # Not without an end: what is due must not wait for a sender who never pauses.
            for _ in range(64 if end in ready else 0):
                try:
                    packets.append((now + delay, os.read(end, LONGEST)))
                except BlockingIOError:
                    break
            while packets and packets[0][0] <= now:
                os.write(other[end], packets.popleft()[1])


ip("netns", "add", name)
try:
    ends = connect()
    print("ready", flush=True)
    carry(*ends)
finally:
    ip("netns", "delete", name)
