"""The service that `cancels/run` calls, on grpcio: bytes in, bytes out. Prints its address once it listens."""

import sys
import threading
import time
from concurrent import futures

import grpc

# Handlers block a thread each.
THREADS = 512


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def echo(request, context):
    return request


def hang(request, context):
    note(context).wait()
    return b""


def stream(request, context):
    cancelled = note(context)
    for _ in range(16):
        yield bytes(1024)
    while not cancelled.wait(0.05):
        yield bytes(1024)


def note(context):
    """Says that the call began, and when it learns that it was cancelled."""
    call = dict(context.invocation_metadata()).get("cancel-id")
    cancelled = threading.Event()

    def over():
        say(f"cancelled {call} {time.time_ns()}")
        cancelled.set()

    say(f"began {call}")
    # Refused when the call is over already.
    if not context.add_callback(over):
        over()
    return cancelled


class Methods(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/cancels.Test/Echo": grpc.unary_unary_rpc_method_handler(echo),
            "/cancels.Test/Hang": grpc.unary_unary_rpc_method_handler(hang),
            "/cancels.Test/Stream": grpc.unary_stream_rpc_method_handler(stream),
        }.get(details.method)


server = grpc.server(futures.ThreadPoolExecutor(THREADS), handlers=[Methods()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
say(f"python listening on 127.0.0.1:{port}")
server.wait_for_termination()
