"""Calls an echo backend with grpcio and prints one line per case.

Usage: caller.py PROTO_FOLDER ADDRESS CLIENT_ID LABEL; an empty CLIENT_ID calls without one.
"""

import os
import sys
import threading
import time

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.append(sys.argv[1])
pb, pb_grpc = grpc.protos_and_services("echo.proto")

ADDRESS, CLIENT_ID, LABEL = sys.argv[2:5]
ROUTE = [("client-id", CLIENT_ID)] if CLIENT_ID else []
BACKEND_JOINS = "→node" in LABEL
MIB = 1024 * 1024
TIMEOUT = 30


def unary(stub):
    answer = stub.Echo(pb.EchoRequest(text="hello", payload=b"\0\xff"), metadata=ROUTE, timeout=TIMEOUT)
    same((answer.text, answer.payload), ("hello", b"\0\xff"))


def server_stream(stub):
    request = pb.ServerStreamRequest(text="again", count=100)
    answers = [(a.text, a.index) for a in stub.ServerStream(request, metadata=ROUTE, timeout=TIMEOUT)]
    same(answers, [("again", i) for i in range(100)])


def client_stream(stub):
    messages = (pb.ClientStreamRequest(text=str(i), payload=bytes(1000)) for i in range(100))
    answer = stub.ClientStream(messages, metadata=ROUTE, timeout=TIMEOUT)
    same((answer.messages, answer.total_bytes), (100, 100_000))
    same(answer.text, ",".join(str(i) for i in range(100)))


def bidi_stream(stub):
    sender = Sender()
    answers = stub.BidiStream(sender, metadata=ROUTE, timeout=TIMEOUT)
    for index in range(20):  # each message waits for the answer before it
        sender.send(pb.BidiStreamRequest(text=f"ping {index}"))
        answer = next(answers)
        same((answer.text, answer.index), (f"ping {index}", index))
    sender.end()
    same(list(answers), [])
    same(answers.code(), grpc.StatusCode.OK)


def half_close(stub):
    sender = Sender()
    answer = stub.ClientStream.future(sender, metadata=ROUTE, timeout=TIMEOUT)
    sender.send(pb.ClientStreamRequest(text="a"))
    sender.send(pb.ClientStreamRequest(text="b"))
    time.sleep(0.3)
    same(answer.done(), False)
    sender.end()
    same(answer.result().text, "a,b")


def huge(size):
    def case(stub):
        payload = os.urandom(size)
        answer = stub.Echo(pb.EchoRequest(payload=payload), metadata=ROUTE, timeout=TIMEOUT)
        if answer.payload != payload:
            raise AssertionError(f"{len(answer.payload)} bytes came back, or others")

    return case


def gzip(stub):
    payload = b"squeeze me " * 100_000
    answer, call = stub.Echo.with_call(
        pb.EchoRequest(payload=payload),
        metadata=[*ROUTE, ("interop-gzip", "yes")],
        timeout=TIMEOUT,
        compression=grpc.Compression.Gzip,
    )
    same(answer.payload, payload)
    same(call.code(), grpc.StatusCode.OK)


def deadline(stub):
    text, begin = token(), time.monotonic()
    request = pb.EchoRequest(text=text, delay=duration_pb2.Duration(seconds=30))
    error = fails(lambda: stub.Echo(request, metadata=ROUTE, timeout=0.2))
    same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    if time.monotonic() - begin > 2:
        raise AssertionError("the answer took more than 2 s")
    reported_cancelled(stub, text)


def cancel_unary(stub):
    text = token()
    request = pb.EchoRequest(text=text, delay=duration_pb2.Duration(seconds=30))
    call = stub.Echo.future(request, metadata=ROUTE, timeout=TIMEOUT)
    time.sleep(0.3)
    call.cancel()
    reported_cancelled(stub, text)


def cancel_stream(stub):
    text, sender = token(), Sender()
    answers = stub.BidiStream(sender, metadata=ROUTE, timeout=TIMEOUT)
    sender.send(pb.BidiStreamRequest(text=text))
    next(answers)
    sender.send(pb.BidiStreamRequest(text=text, delay=duration_pb2.Duration(seconds=30)))
    time.sleep(0.1)
    answers.cancel()
    reported_cancelled(stub, text)
    sender.end()


def rich_status(stub):
    message = "no such thing: Größe 100 %\n✓"
    request = pb.EchoRequest(text="käse", status_code=9, status_message=message)
    error = fails(lambda: stub.Echo(request, metadata=ROUTE, timeout=TIMEOUT))
    same((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, message))
    status = rpc_status.from_call(error)
    same((status.code, status.message, len(status.details)), (9, message, 2))
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    same((status.details[0].Unpack(info), status.details[1].Unpack(bad)), (True, True))
    same((info.reason, info.domain), ("ASKED_FOR", "grpc-multiplexer-examples"))
    same(dict(info.metadata), {"text": "käse"})
    violation = bad.field_violations[0]
    same((violation.field, violation.description), ("status_code", "asked for 9"))


def metadata(stub):
    for prefix in ("echo-", "echo-trailer-"):
        sent = seven_kib(prefix)
        _, call = stub.Echo.with_call(pb.EchoRequest(), metadata=[*ROUTE, *sent], timeout=TIMEOUT)
        got = call.trailing_metadata() if "trailer" in prefix else call.initial_metadata()
        for key in {key for key, _ in sent}:
            same(values(got, key), values(sent, key))


def values(entries, key):
    found = [value for k, value in entries if k == key]
    # A backend on node gets, and so returns, the values of a repeated text key joined.
    return [", ".join(found)] if BACKEND_JOINS and not key.endswith("-bin") else found


def seven_kib(prefix):
    """7 KiB of metadata, text as it is and bytes as base64, with repeated keys."""
    entries = [
        (f"{prefix}order", "third"),
        (f"{prefix}order", "first"),
        (f"{prefix}order", "second"),
        (f"{prefix}bytes-bin", os.urandom(96)),
        (f"{prefix}bytes-bin", b"\0"),
        (f"{prefix}empty", ""),
    ]
    used = sum(len(k) + (len(v) * 4 // 3 if isinstance(v, bytes) else len(v)) for k, v in entries)
    return [*entries, (f"{prefix}big", "x" * (7 * 1024 - used - len(prefix) - 3))]


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


def token():
    return os.urandom(8).hex()


def reported_cancelled(stub, text):
    until = time.monotonic() + 5
    while time.monotonic() < until:
        request = pb.CountCancelledRequest(text=text)
        if stub.CountCancelled(request, metadata=ROUTE, timeout=TIMEOUT).count == 1:
            return
        time.sleep(0.05)
    raise AssertionError("the backend saw no cancel within 5 s")


def fails(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def same(got, expected):
    if got != expected:
        raise AssertionError(f"got {got!r:.200}, expected {expected!r:.200}")


CASES = {
    "unary": unary,
    "server stream": server_stream,
    "client stream": client_stream,
    "bidi stream": bidi_stream,
    "half-close": half_close,
    "8 MiB both ways": huge(8 * MIB),
    "64 MiB both ways": huge(64 * MIB),
    "gzip both ways": gzip,
    "200 ms deadline": deadline,
    "cancel of a unary call": cancel_unary,
    "cancel of a stream": cancel_stream,
    "rich status details": rich_status,
    "7 KiB of metadata": metadata,
}


def main():
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    passed = 0
    with grpc.insecure_channel(ADDRESS, options) as channel:
        stub = pb_grpc.EchoServiceStub(channel)
        for name, case in CASES.items():
            try:
                case(stub)
            except Exception as error:
                print(f"FAIL {LABEL}: {name}: {type(error).__name__}: {error}", flush=True)
            else:
                passed += 1
                print(f"ok   {LABEL}: {name}", flush=True)
    print(f"{passed}/{len(CASES)} {LABEL}", flush=True)
    sys.exit(0 if passed == len(CASES) else 1)


main()
