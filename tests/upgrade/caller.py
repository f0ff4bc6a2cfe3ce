"""Calls an edge all the time with grpcio's default channel options, until SIGTERM; then says how it went.

Usage: caller.py ADDRESS CLIENT_ID CALLS_PER_SECOND
"""

import collections
import signal
import sys
import threading
import time
from pathlib import Path

import grpc

sys.path.append(str(Path(__file__).resolve().parents[1] / "interop/python"))
from protos import echo, echo_grpc  # noqa: E402

ADDRESS, CLIENT_ID, RATE = sys.argv[1], sys.argv[2], int(sys.argv[3])
THREADS = 10
METADATA = [("client-id", CLIENT_ID)]

stop = threading.Event()
calls = collections.Counter()
errors = collections.Counter()


def call(channel, kind):
    calls[kind] += 1
    try:
        answer = echo_grpc.EchoServiceStub(channel).Echo(
            echo.EchoRequest(text=kind), metadata=METADATA, timeout=30
        )
        if answer.text != kind:
            errors[kind, "another answer"] += 1
    except grpc.RpcError as error:
        errors[kind, f"{error.code().name}: {error.details()}"] += 1


def steadily(channel):
    """One call after the other over one channel that all threads share, a share of the rate each."""
    due = time.monotonic()
    while not stop.is_set():
        call(channel, "shared")
        due += THREADS / RATE
        time.sleep(max(0, due - time.monotonic()))


def anew():
    """A connection for each call, 20 in a second."""
    while not stop.wait(0.05):
        with grpc.insecure_channel(ADDRESS, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call(channel, "anew")


def main():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    began = time.monotonic()
    with grpc.insecure_channel(ADDRESS) as channel:
        threads = [threading.Thread(target=steadily, args=[channel]) for _ in range(THREADS)]
        threads.append(threading.Thread(target=anew))
        for thread in threads:
            thread.start()
        print("calling", flush=True)
        while not stop.wait(1):
            pass
        for thread in threads:
            thread.join()
    took = time.monotonic() - began
    for (kind, error), times in errors.items():
        print(f"FAILED {times} {kind}: {error}")
    total = sum(calls.values())
    print(f"{total} calls, {total / took:.0f} in a second, {sum(errors.values())} failed", flush=True)
    sys.exit(1 if errors else 0)


main()
