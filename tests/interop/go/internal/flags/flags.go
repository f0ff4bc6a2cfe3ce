// Package flags tells whether messages came compressed, which grpc-go tells only to those who count bytes.
package flags

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// Flags are those of the messages of one call, in order.
type Flags struct {
	mutex sync.Mutex
	came  []bool
}

type key struct{}

// With gives a caller's context the flags of its call.
func With(ctx context.Context) (context.Context, *Flags) {
	flags := &Flags{}
	return context.WithValue(ctx, key{}, flags), flags
}

// Of is the flags of the call that ctx belongs to.
func Of(ctx context.Context) *Flags {
	flags, _ := ctx.Value(key{}).(*Flags)
	return flags
}

// Next is the flag of the next message; every message is asked for once, after it came.
func (f *Flags) Next() bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	next := f.came[0]
	f.came = f.came[1:]
	return next
}

// Handler notes the flags of all calls.
type Handler struct{}

// TagRPC gives a call its flags, where the caller did not.
func (Handler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if Of(ctx) == nil {
		ctx, _ = With(ctx)
	}
	return ctx
}

// HandleRPC notes the flag of a message: compressed, the zeros that all payloads consist of are fewer.
func (Handler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	payload, ok := event.(*stats.InPayload)
	if !ok {
		return
	}
	flags := Of(ctx)
	flags.mutex.Lock()
	defer flags.mutex.Unlock()
	flags.came = append(flags.came, payload.CompressedLength != payload.Length)
}

// TagConn has nothing to say of connections.
func (Handler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn has nothing to say of connections.
func (Handler) HandleConn(context.Context, stats.ConnStats) {}
