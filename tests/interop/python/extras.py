"""What gRPC's interop cases leave out: contents, order, size, and what the backend sees of a cancel.

They call the echo service.
"""

import os
import time

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from calling import LABEL, ROUTE, TIMEOUT, Sender, fails, same
from protos import echo, echo_grpc

BACKEND_JOINS = "→node" in LABEL
MIB = 1024 * 1024


def server_stream(stub):
    request = echo.ServerStreamRequest(text="again", count=100)
    answers = [(a.text, a.index) for a in stub.ServerStream(request, metadata=ROUTE, timeout=TIMEOUT)]
    same(answers, [("again", i) for i in range(100)])


def client_stream(stub):
    messages = (echo.ClientStreamRequest(text=str(i), payload=bytes(1000)) for i in range(100))
    answer = stub.ClientStream(messages, metadata=ROUTE, timeout=TIMEOUT)
    same((answer.messages, answer.total_bytes), (100, 100_000))
    same(answer.text, ",".join(str(i) for i in range(100)))


def half_close(stub):
    sender = Sender()
    answer = stub.ClientStream.future(sender, metadata=ROUTE, timeout=TIMEOUT)
    sender.send(echo.ClientStreamRequest(text="a"))
    sender.send(echo.ClientStreamRequest(text="b"))
    time.sleep(0.3)
    same(answer.done(), False)
    sender.end()
    same(answer.result().text, "a,b")


def huge(size):
    def case(stub):
        payload = os.urandom(size)
        answer = stub.Echo(echo.EchoRequest(payload=payload), metadata=ROUTE, timeout=TIMEOUT)
        if answer.payload != payload:
            raise AssertionError(f"{len(answer.payload)} bytes came back, or others")

    return case


def gzip(stub):
    payload = b"squeeze me " * 100_000
    answer, call = stub.Echo.with_call(
        echo.EchoRequest(payload=payload),
        metadata=[*ROUTE, ("interop-gzip", "yes")],
        timeout=TIMEOUT,
        compression=grpc.Compression.Gzip,
    )
    same(answer.payload, payload)
    same(call.code(), grpc.StatusCode.OK)


def deadline(stub):
    text, begin = token(), time.monotonic()
    request = echo.EchoRequest(text=text, delay=duration_pb2.Duration(seconds=30))
    error = fails(lambda: stub.Echo(request, metadata=ROUTE, timeout=0.2))
    same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    if time.monotonic() - begin > 2:
        raise AssertionError("the answer took more than 2 s")
    reported_cancelled(stub, text)


def cancel_unary(stub):
    text = token()
    request = echo.EchoRequest(text=text, delay=duration_pb2.Duration(seconds=30))
    call = stub.Echo.future(request, metadata=ROUTE, timeout=TIMEOUT)
    time.sleep(0.3)
    call.cancel()
    reported_cancelled(stub, text)


def cancel_stream(stub):
    text, sender = token(), Sender()
    answers = stub.BidiStream(sender, metadata=ROUTE, timeout=TIMEOUT)
    sender.send(echo.BidiStreamRequest(text=text))
    next(answers)
    sender.send(echo.BidiStreamRequest(text=text, delay=duration_pb2.Duration(seconds=30)))
    time.sleep(0.1)
    answers.cancel()
    reported_cancelled(stub, text)
    sender.end()


def rich_status(stub):
    message = "no such thing: Größe 100 %\n✓"
    request = echo.EchoRequest(text="käse", status_code=9, status_message=message)
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
        _, call = stub.Echo.with_call(echo.EchoRequest(), metadata=[*ROUTE, *sent], timeout=TIMEOUT)
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


def token():
    return os.urandom(8).hex()


def reported_cancelled(stub, text):
    until = time.monotonic() + 5
    while time.monotonic() < until:
        request = echo.CountCancelledRequest(text=text)
        if stub.CountCancelled(request, metadata=ROUTE, timeout=TIMEOUT).count == 1:
            return
        time.sleep(0.05)
    raise AssertionError("the backend saw no cancel within 5 s")


CASES = {
    "order_of_answers": server_stream,
    "order_of_requests": client_stream,
    "half_close": half_close,
    "8_MiB_both_ways": huge(8 * MIB),
    "64_MiB_both_ways": huge(64 * MIB),
    "gzip_both_ways": gzip,
    "deadline_of_200_ms": deadline,
    "cancel_of_unary": cancel_unary,
    "cancel_of_stream": cancel_stream,
    "rich_status_details": rich_status,
    "7_KiB_of_metadata": metadata,
}
