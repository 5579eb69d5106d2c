"""Answers and asks in the network that it is started in, as a program alone: ``prober.py PORT...``.

At each of the ports it takes connections and answers datagrams, unless somebody else has the port.
A line of standard input is a JSON list of questions, objects with ``protocol``, ``address``,
``port`` and, where the asker has more than one address, ``source``. The answer is a line with as
many texts: empty for what passes, and else what came in place of an answer.
"""

from __future__ import annotations

import concurrent.futures
import json
import socket
import struct
import sys
import threading
import time
import typing

# A machine under load takes its time. Where a flow is rejected, the answer comes at once.
_SECONDS = 5
_AGAIN_SECONDS = 1
_AT_A_TIME = 16
_PACKET_INFO = 8
# A DNS server answers it too: the addresses of `kubernetes.default`.
_NAMES = (b"kubernetes", b"default", b"svc", b"cluster", b"local")
_QUESTION = (
    bytes.fromhex("123401000001000000000000")
    + b"".join(bytes([len(name)]) + name for name in _NAMES)
    + bytes.fromhex("0000010001")
)


def _take(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        connection.close()


def _answer(listener: socket.socket) -> None:
    # From the address that was asked, which may be one of several (ip(7), IP_PKTINFO).
    listener.setsockopt(socket.SOL_IP, _PACKET_INFO, 1)
    while True:
        content, ((*_, info),), _, sender = listener.recvmsg(2048, 64)
        _, asked, _ = struct.unpack("i4s4s", info)
        own = struct.pack("i4s4s", 0, asked, bytes(4))
        listener.sendmsg([content], [(socket.SOL_IP, _PACKET_INFO, own)], 0, sender)


def _listen(port: int) -> None:
    for kind, serve in ((socket.SOCK_STREAM, _take), (socket.SOCK_DGRAM, _answer)):
        listener = socket.socket(type=kind)
        try:
            listener.bind(("", port))
        except OSError:
            continue  # It is a port of the pod's own program, which answers by itself.
        if kind == socket.SOCK_STREAM:
            listener.listen(128)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()


def _try(question: dict[str, typing.Any]) -> None:
    place, source = (question["address"], question["port"]), (question["source"], 0)
    if question["protocol"] == "TCP":
        socket.create_connection(place, _SECONDS, source_address=source).close()
        return
    deadline = time.monotonic() + _SECONDS
    with socket.socket(type=socket.SOCK_DGRAM) as asker:
        asker.bind(source)
        asker.connect(place)
        asker.settimeout(_AGAIN_SECONDS)
        while True:
            asker.send(_QUESTION)
            try:
                asker.recv(2048)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
            else:
                return


def _outcome(question: dict[str, typing.Any]) -> str:
    try:
        _try(question)
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def _main() -> None:
    for port in sys.argv[1:]:
        _listen(int(port))
    with concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as pool:
        for line in sys.stdin:
            print(json.dumps(list(pool.map(_outcome, json.loads(line)))), flush=True)


_main()
