package main

import (
	"context"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"grpc-multiplexer.example/interop/internal/flags"
)

const timeout = 30 * time.Second

// The cases that need a stub and nothing else.
var cases = map[string]func(context.Context, grpc_testing.TestServiceClient, ...grpc.CallOption){
	"empty_unary":                 interop.DoEmptyUnaryCall,
	"large_unary":                 interop.DoLargeUnaryCall,
	"client_streaming":            interop.DoClientStreaming,
	"server_streaming":            interop.DoServerStreaming,
	"ping_pong":                   interop.DoPingPong,
	"empty_stream":                interop.DoEmptyStream,
	"custom_metadata":             interop.DoCustomMetadata,
	"status_code_and_message":     interop.DoStatusCodeAndMessage,
	"special_status_message":      interop.DoSpecialStatusMessage,
	"cancel_after_begin":          interop.DoCancelAfterBegin,
	"cancel_after_first_response": interop.DoCancelAfterFirstResponse,
	"timeout_on_sleeping_server":  interop.DoTimeoutOnSleepingServer,
	"client_compressed_unary":     clientCompressedUnary,
	"server_compressed_unary":     serverCompressedUnary,
	"server_compressed_streaming": serverCompressedStreaming,
}

// run runs one case; it exits when that fails.
func run(name, address, clientID string) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn := connect(address, clientID)
	defer conn.Close()
	switch name {
	case "unimplemented_method":
		interop.DoUnimplementedMethod(ctx, conn)
	case "unimplemented_service":
		interop.DoUnimplementedService(ctx, grpc_testing.NewUnimplementedServiceClient(conn))
	case "rpc_soak":
		soak(ctx, address, 100, func() (*grpc.ClientConn, func()) { return conn, func() {} })
	case "channel_soak":
		soak(ctx, address, 20, func() (*grpc.ClientConn, func()) {
			own := connect(address, clientID)
			return own, func() { own.Close() }
		})
	default:
		do, ok := cases[name]
		if !ok {
			log.Fatal("there is no such case")
		}
		do(ctx, grpc_testing.NewTestServiceClient(conn))
	}
}

func soak(ctx context.Context, address string, rounds int, channel func() (*grpc.ClientConn, func())) {
	interop.DoSoakTest(ctx, interop.SoakTestConfig{
		RequestSize:                      271828,
		ResponseSize:                     314159,
		PerIterationMaxAcceptableLatency: timeout,
		OverallTimeout:                   timeout,
		ServerAddr:                       address,
		NumWorkers:                       1,
		Iterations:                       rounds,
		ChannelForTest:                   channel,
	})
}

// connect makes a channel whose calls name the edge.
func connect(address, clientID string) *grpc.ClientConn {
	route := func(ctx context.Context) context.Context {
		if clientID == "" {
			return ctx
		}
		return metadata.AppendToOutgoingContext(ctx, "client-id", clientID)
	}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(flags.Handler{}),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
			invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
			return invoke(route(ctx), method, request, response, conn, options...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, shape *grpc.StreamDesc, conn *grpc.ClientConn, method string,
			open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(route(ctx), shape, conn, method, options...)
		}),
	)
	if err != nil {
		log.Fatal(err)
	}
	return conn
}
