// Package raw has services without a description: messages are bytes, and one function has all calls.
package raw

import "google.golang.org/grpc"

type codec struct{}

func (codec) Name() string                  { return "raw" }
func (codec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (codec) Unmarshal(bytes []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), bytes...)
	return nil
}

// Server is one that has serve answer every call.
func Server(serve grpc.StreamHandler) *grpc.Server {
	return grpc.NewServer(grpc.ForceServerCodec(codec{}), grpc.UnknownServiceHandler(serve))
}
