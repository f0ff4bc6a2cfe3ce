// Package relay passes gRPC calls on message by message, knowing nothing of what they say.
package relay

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// Pick says where a call with this metadata goes, and with which metadata.
type Pick func(metadata.MD) (*grpc.ClientConn, metadata.MD, error)

// NewServer is a gRPC server that passes on every call it gets, to wherever pick says.
func NewServer(pick Pick) *grpc.Server {
	return grpc.NewServer(
		grpc.ForceServerCodecV2(opaque{}),
		grpc.UnknownServiceHandler(func(_ any, caller grpc.ServerStream) error {
			return pass(caller, pick)
		}),
	)
}

func pass(caller grpc.ServerStream, pick Pick) error {
	ctx, cancel := context.WithCancel(caller.Context())
	defer cancel()
	received, _ := metadata.FromIncomingContext(ctx)
	conn, sent, err := pick(received)
	if err != nil {
		return err
	}
	method, _ := grpc.MethodFromServerStream(caller)
	shape := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	callee, err := conn.NewStream(metadata.NewOutgoingContext(ctx, sent), shape, method, grpc.ForceCodecV2(opaque{}))
	if err != nil {
		return err
	}
	go upload(caller, callee, cancel)
	err = answer(callee, caller)
	caller.SetTrailer(callee.Trailer())
	return err
}

// upload passes on what the caller sends, and its end; a caller that gives up cancels the call.
func upload(caller grpc.ServerStream, callee grpc.ClientStream, cancel context.CancelFunc) {
	for {
		var message message
		if err := caller.RecvMsg(&message); errors.Is(err, io.EOF) {
			callee.CloseSend()
			return
		} else if err != nil {
			cancel()
			return
		}
		if callee.SendMsg(&message) != nil {
			return // What went wrong is what the answer says.
		}
	}
}

// answer passes on headers and messages; the error is the status.
func answer(callee grpc.ClientStream, caller grpc.ServerStream) error {
	headers, err := callee.Header()
	if err != nil {
		return err
	}
	if err := caller.SetHeader(headers); err != nil {
		return err
	}
	for {
		var message message
		if err := callee.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := caller.SendMsg(&message); err != nil {
			return err
		}
	}
}

type message struct{ bytes []byte }

// opaque is the codec of messages that stay bytes. Without a name it leaves the content type alone.
type opaque struct{}

func (opaque) Name() string { return "" }

func (opaque) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(*message).bytes)}, nil
}

func (opaque) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*message).bytes = data.Materialize()
	return nil
}
