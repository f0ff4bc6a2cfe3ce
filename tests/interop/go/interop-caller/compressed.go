package main

import (
	"context"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"grpc-multiplexer.example/interop/internal/flags"
)

// The published cases of compression, which grpc-go's own client does not have.

const largeAnswer = 314159

func clientCompressedUnary(ctx context.Context, stub grpc_testing.TestServiceClient, _ ...grpc.CallOption) {
	probe := large()
	probe.ExpectCompressed = &grpc_testing.BoolValue{Value: true}
	if _, err := stub.UnaryCall(ctx, probe); status.Code(err) != codes.InvalidArgument {
		log.Fatalf("the probe ended with %v, expected INVALID_ARGUMENT", err)
	}
	for _, compressed := range []bool{true, false} {
		request := large()
		request.ExpectCompressed = &grpc_testing.BoolValue{Value: compressed}
		var options []grpc.CallOption
		if compressed {
			options = append(options, grpc.UseCompressor(gzip.Name))
		}
		answer, err := stub.UnaryCall(ctx, request, options...)
		sized(answer.GetPayload(), err, largeAnswer)
	}
}

func serverCompressedUnary(ctx context.Context, stub grpc_testing.TestServiceClient, _ ...grpc.CallOption) {
	for _, compressed := range []bool{true, false} {
		request := large()
		request.ResponseCompressed = &grpc_testing.BoolValue{Value: compressed}
		ctx, came := flags.With(ctx)
		answer, err := stub.UnaryCall(ctx, request)
		sized(answer.GetPayload(), err, largeAnswer)
		cameAs(came, compressed)
	}
}

func serverCompressedStreaming(ctx context.Context, stub grpc_testing.TestServiceClient, _ ...grpc.CallOption) {
	expected := []struct {
		size       int32
		compressed bool
	}{{31415, true}, {92653, false}}
	request := &grpc_testing.StreamingOutputCallRequest{}
	for _, answer := range expected {
		request.ResponseParameters = append(request.ResponseParameters, &grpc_testing.ResponseParameters{
			Size:       answer.size,
			Compressed: &grpc_testing.BoolValue{Value: answer.compressed},
		})
	}
	ctx, came := flags.With(ctx)
	stream, err := stub.StreamingOutputCall(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	for _, expected := range expected {
		answer, err := stream.Recv()
		sized(answer.GetPayload(), err, int(expected.size))
		cameAs(came, expected.compressed)
	}
}

func large() *grpc_testing.SimpleRequest {
	return &grpc_testing.SimpleRequest{
		ResponseSize: largeAnswer,
		Payload:      interop.ClientNewPayload(grpc_testing.PayloadType_COMPRESSABLE, 271828),
	}
}

func sized(payload *grpc_testing.Payload, err error, size int) {
	if err != nil {
		log.Fatal(err)
	}
	if got := len(payload.GetBody()); got != size {
		log.Fatalf("the answer has %d bytes, expected %d", got, size)
	}
}

func cameAs(came *flags.Flags, compressed bool) {
	if got := came.Next(); got != compressed {
		log.Fatalf("the answer came compressed: %v, expected %v", got, compressed)
	}
}
