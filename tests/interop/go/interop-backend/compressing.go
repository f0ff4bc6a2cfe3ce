package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"grpc-multiplexer.example/interop/internal/flags"
)

// compressing looks at expect_compressed and response_compressed, which grpc-go's own server does not.
type compressing struct{ grpc_testing.TestServiceServer }

func (c compressing) UnaryCall(ctx context.Context, request *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	if err := asExpected(ctx, request.ExpectCompressed); err != nil {
		return nil, err
	}
	if request.ResponseCompressed.GetValue() {
		if err := grpc.SetSendCompressor(ctx, gzip.Name); err != nil {
			return nil, err
		}
	} else if err := grpc.SetSendCompressor(ctx, "identity"); err != nil {
		return nil, err
	}
	return c.TestServiceServer.UnaryCall(ctx, request)
}

func (c compressing) StreamingInputCall(stream grpc_testing.TestService_StreamingInputCallServer) error {
	return c.TestServiceServer.StreamingInputCall(checked{stream})
}

type checked struct {
	grpc_testing.TestService_StreamingInputCallServer
}

func (c checked) Recv() (*grpc_testing.StreamingInputCallRequest, error) {
	request, err := c.TestService_StreamingInputCallServer.Recv()
	if err == nil {
		err = asExpected(c.Context(), request.ExpectCompressed)
	}
	return request, err
}

// asExpected takes the flag of the next message, and refuses one that is not as the message says.
func asExpected(ctx context.Context, expected *grpc_testing.BoolValue) error {
	came := flags.Of(ctx).Next()
	if expected != nil && came != expected.Value {
		return status.Errorf(codes.InvalidArgument, "expect_compressed is %v, the message came otherwise", expected.Value)
	}
	return nil
}
