"""The echo service of echo.proto on grpcio."""

import threading
from collections import Counter

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from protos import echo, echo_grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Echo(echo_grpc.EchoServiceServicer):
    """The shapes of the four methods; what they share is in `Call`."""

    def __init__(self):
        self.cancelled = Counter()

    def Echo(self, request, context):
        call = Call(self, context)
        call.take(request)
        call.end()
        return echo.EchoResponse(payload=request.payload, text=request.text)

    def ServerStream(self, request, context):
        call = Call(self, context)
        for index in range(request.count):
            call.sleep(request)
            yield echo.ServerStreamResponse(payload=request.payload, text=request.text, index=index)
        call.status(request)
        call.end()

    def ClientStream(self, requests, context):
        call = Call(self, context)
        texts, last, total = [], b"", 0
        for request in requests:
            call.take(request)
            texts.append(request.text)
            last = request.payload
            total += len(last)
        call.end()
        return echo.ClientStreamResponse(
            payload=last, text=",".join(texts), messages=len(texts), total_bytes=total
        )

    def BidiStream(self, requests, context):
        call = Call(self, context)
        for index, request in enumerate(requests):
            call.take(request)
            yield echo.BidiStreamResponse(payload=request.payload, text=request.text, index=index)
        call.end()

    def CountCancelled(self, request, context):
        count = self.cancelled[request.text] if request.text else self.cancelled.total()
        return echo.CountCancelledResponse(count=count)


class Call:
    """One call: sends its metadata back, sleeps, fails, and notices when it is given up."""

    def __init__(self, service, context):
        self.context, self.text, self.ended = context, "", False
        self.over = threading.Event()
        mine = [tuple(entry) for entry in context.invocation_metadata()]
        headers = [e for e in mine if e[0].startswith("echo-") and not e[0].startswith("echo-trailer-")]
        self.trailers = [e for e in mine if e[0].startswith("echo-trailer-")]
        if ("interop-gzip", "yes") in mine:  # grpcio does not show handlers the caller's encoding
            context.set_compression(grpc.Compression.Gzip)
        context.send_initial_metadata(headers)
        context.set_trailing_metadata(self.trailers)

        def closed():
            if not self.ended:
                service.cancelled[self.text] += 1
            self.over.set()

        context.add_callback(closed)

    def take(self, request):
        self.sleep(request)
        self.status(request)

    def sleep(self, request):
        self.text = request.text
        self.over.wait(request.delay.ToTimedelta().total_seconds())

    def status(self, request):
        if request.status_code == 0:
            return
        self.end()
        status = details(request)
        self.context.set_trailing_metadata(
            [*self.trailers, ("grpc-status-details-bin", status.SerializeToString())]
        )
        self.context.abort(CODES[status.code], status.message)

    def end(self):
        if self.context.is_active():
            self.ended = True


def details(request):
    status = status_pb2.Status(code=request.status_code, message=request.status_message)
    info = error_details_pb2.ErrorInfo(reason="ASKED_FOR", domain="grpc-multiplexer-examples")
    info.metadata["text"] = request.text
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="status_code", description=f"asked for {request.status_code}")
    for detail in (info, bad):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
