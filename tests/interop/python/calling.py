"""Where to call, as the command line says it, and what all cases share.

An empty client id calls without one.
"""

import sys
import threading

import grpc

ADDRESS, CLIENT_ID, LABEL, *NAMES = sys.argv[1:]
ROUTE = [("client-id", CLIENT_ID)] if CLIENT_ID else []
TIMEOUT = 30


def channel():
    """A channel with a connection of its own, and no limit on messages."""
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.insecure_channel(ADDRESS, options)


class Sender:
    """A request stream that is fed from outside."""

    def __init__(self):
        self.ready = threading.Condition()
        self.messages = []

    def send(self, message):
        with self.ready:
            self.messages.append(message)
            self.ready.notify()

    def end(self):
        self.send(None)

    def __iter__(self):
        return self

    def __next__(self):
        with self.ready:
            self.ready.wait_for(lambda: self.messages)
            message = self.messages.pop(0)
        if message is None:
            raise StopIteration
        return message


def fails(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def same(got, expected):
    if got != expected:
        raise AssertionError(f"got {got!r:.200}, expected {expected!r:.200}")
