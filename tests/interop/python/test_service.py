"""gRPC's interop test service on grpcio. Whether a request came compressed, grpcio does not show to handlers."""

import time

import grpc

from protos import empty, messages, testing_grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


class TestService(testing_grpc.TestServiceServicer):
    def EmptyCall(self, request, context):
        return empty.Empty()

    def UnaryCall(self, request, context):
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        metadata(context)
        status(request, context)
        return messages.SimpleResponse(payload=zeros(request.response_size))

    def StreamingOutputCall(self, request, context):
        if any(wanted.compressed.value for wanted in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        status(request, context)
        yield from answers(request, context)

    def StreamingInputCall(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return messages.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(self, requests, context):
        metadata(context)
        for request in requests:
            status(request, context)
            yield from answers(request, context)

    def HalfDuplexCall(self, requests, context):
        for request in list(requests):
            yield from answers(request, context)


def metadata(context):
    """Sends back the two keys that the cases use."""
    mine = [tuple(entry) for entry in context.invocation_metadata()]
    context.send_initial_metadata([entry for entry in mine if entry[0] == INITIAL])
    context.set_trailing_metadata([entry for entry in mine if entry[0] == TRAILING])


def status(request, context):
    """Ends the call if the request asks for it."""
    if request.response_status.code:
        context.abort(CODES[request.response_status.code], request.response_status.message)


def answers(request, context):
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1_000_000)
        if not wanted.compressed.value:
            context.disable_next_message_compression()
        yield messages.StreamingOutputCallResponse(payload=zeros(wanted.size))


def zeros(size):
    return messages.Payload(body=bytes(size))
