package oip

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // compressed messages
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/oip/wire"
	"github.com/assay-ml/assay/internal/serve"
)

const (
	// maxStreams is how many calls of one connection run at once; the others wait for them.
	maxStreams = 128
	// maxCalls is how many run at once over all connections: as many as requests may wait.
	maxCalls = serve.DefaultMaxQueue
	// window is how many bytes of a call are taken in before its message is read; grpc-go has no smaller one. It does not grow with the
	// speed of the connection, as it would by itself.
	window = 64 << 10
	// connWindow is how many bytes of a connection are on their way; it says nothing of what is held.
	connWindow = 1 << 20
	// maxHeaderList is how many bytes of headers a call may have, each counted with 32 more, as HTTP/2 does. They are in the memory before any turn and any
	// limit of bodies, and take few bytes on the wire where they are alike; grpc-go's own limit is 16 MiB for each call.
	maxHeaderList = 64 << 10
)

// GRPC returns a gRPC server that answers the protocol. A message, after decompression, may be as large as the body of an HTTP request, and
// takes part in the memory for all bodies.
func (s *Inference) GRPC() *grpc.Server {
	limit := int(min(s.Server.MaxBodyBytes(), math.MaxInt32))
	g := grpc.NewServer(grpc.MaxRecvMsgSize(limit), grpc.MaxConcurrentStreams(maxStreams), grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(connWindow),
		grpc.MaxHeaderListSize(maxHeaderList), grpc.InTapHandle(s.admit), grpc.UnaryInterceptor(recovered))
	methods := wire.GRPCInferenceService_ServiceDesc
	methods.Methods = slices.Clone(methods.Methods)
	for i, m := range methods.Methods {
		methods.Methods[i].Handler = func(srv any, ctx context.Context, _ func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			h := heldOf(ctx)
			defer h.part.GiveBack()
			return m.Handler(srv, ctx, func(into any) error { return s.receive(ctx, h, into) }, interceptor)
		}
	}
	g.RegisterService(&methods, &rpc{s: s})
	return g
}

// recovered turns a bug into an error of its one request, as net/http does.
func recovered(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, err error) {
	defer func() {
		if recover() != nil {
			out, err = nil, status.Error(codes.Internal, "the request made the server fail")
		}
	}()
	return next(ctx, req)
}

type rpc struct {
	wire.UnimplementedGRPCInferenceServiceServer
	s *Inference
}

// statusError is an error as a gRPC status.
func statusError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	code := codes.Internal
	switch assay.CodeOf(err) {
	case assay.Invalid, assay.Rejected:
		code = codes.InvalidArgument
	case assay.NotFound:
		code = codes.NotFound
	case assay.Unimplemented:
		code = codes.Unimplemented
	case assay.Refused:
		code = codes.FailedPrecondition
	case assay.Unavailable:
		code = codes.Unavailable
		switch {
		case serve.Busy(err):
			code = codes.ResourceExhausted
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			code = codes.DeadlineExceeded
		case errors.Is(ctx.Err(), context.Canceled):
			code = codes.Canceled
		}
	}
	return status.Error(code, err.Error())
}

func (r *rpc) ServerLive(context.Context, *wire.ServerLiveRequest) (*wire.ServerLiveResponse, error) {
	return &wire.ServerLiveResponse{Live: true}, nil
}

func (r *rpc) ServerReady(context.Context, *wire.ServerReadyRequest) (*wire.ServerReadyResponse, error) {
	return &wire.ServerReadyResponse{Ready: r.s.Server.Ready()}, nil
}

func (r *rpc) ModelReady(ctx context.Context, q *wire.ModelReadyRequest) (*wire.ModelReadyResponse, error) {
	b, _, err := r.s.find(q.GetName(), q.GetVersion())
	if assay.CodeOf(err) == assay.Unavailable {
		return &wire.ModelReadyResponse{}, nil
	}
	if err != nil {
		return nil, statusError(ctx, err)
	}
	return &wire.ModelReadyResponse{Ready: r.s.Server.Ready() && b.Healthy()}, nil
}

func (r *rpc) ServerMetadata(context.Context, *wire.ServerMetadataRequest) (*wire.ServerMetadataResponse, error) {
	return &wire.ServerMetadataResponse{Name: serverName, Version: r.s.Version, Extensions: extensions}, nil
}

func (r *rpc) ModelMetadata(ctx context.Context, q *wire.ModelMetadataRequest) (*wire.ModelMetadataResponse, error) {
	b, all, err := r.s.find(q.GetName(), q.GetVersion())
	if err != nil {
		return nil, statusError(ctx, err)
	}
	m := describe(b, all)
	tensors := func(ports []port) (out []*wire.ModelMetadataResponse_TensorMetadata) {
		for _, p := range ports {
			out = append(out, &wire.ModelMetadataResponse_TensorMetadata{Name: p.Name, Datatype: p.Datatype, Shape: p.Shape, Parameters: texts(p.Parameters)})
		}
		return out
	}
	return &wire.ModelMetadataResponse{
		Name: m.Name, Versions: m.Versions, Platform: m.Platform, Inputs: tensors(m.Inputs), Outputs: tensors(m.Outputs), Parameters: texts(m.Parameters),
	}, nil
}

func text(s string) *wire.InferParameter {
	return &wire.InferParameter{ParameterChoice: &wire.InferParameter_StringParam{StringParam: s}}
}

func texts(m map[string]string) map[string]*wire.InferParameter {
	out := map[string]*wire.InferParameter{}
	for k, v := range m {
		out[k] = text(v)
	}
	return out
}

func (r *rpc) ModelInfer(ctx context.Context, in *wire.ModelInferRequest) (*wire.ModelInferResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	c, err := r.s.Server.BeginWith("oip-grpc", in.GetModelName(), in.GetModelVersion(), "", func(name string) string {
		if h := md.Get(name); len(h) > 0 {
			return h[0]
		}
		return ""
	})
	if err != nil {
		return nil, statusError(ctx, err)
	}
	defer c.End()
	held := heldOf(ctx)
	c.Keep(&held.part, held.size)
	if h := md.Get("traceparent"); len(h) > 0 {
		c.Traced(h[0], md.Get("tracestate"))
	}
	q := r.s.request()
	defer r.s.requests.Put(q)
	if err := c.Enter(ctx); err != nil {
		return nil, statusError(ctx, err)
	}
	if err := q.readMessage(c, in); err != nil {
		return nil, statusError(ctx, c.Malform(err))
	}
	if err := c.Predict(ctx); err != nil {
		return nil, statusError(ctx, err)
	}
	return q.message(c, len(in.GetRawInputContents()) > 0), nil
}

func (r *rpc) RepositoryIndex(ctx context.Context, q *wire.RepositoryIndexRequest) (*wire.RepositoryIndexResponse, error) {
	all, err := r.s.list(ctx, q.GetReady())
	if err != nil {
		return nil, statusError(ctx, err)
	}
	out := &wire.RepositoryIndexResponse{}
	for _, l := range all {
		out.Models = append(out.Models, &wire.RepositoryIndexResponse_ModelIndex{Name: l.Name, Version: strconv.Itoa(l.Version), State: l.state(), Reason: l.Reason})
	}
	return out, nil
}

func modelName(name, second string) string {
	if second != "" {
		return second
	}
	return name
}

func (r *rpc) RepositoryModelLoad(ctx context.Context, q *wire.RepositoryModelLoadRequest) (*wire.RepositoryModelLoadResponse, error) {
	name := modelName(q.GetName(), q.GetModelName())
	if err := r.s.change(ctx, name, true); err != nil {
		return nil, statusError(ctx, err)
	}
	return &wire.RepositoryModelLoadResponse{ModelName: name, IsLoaded: true}, nil
}

func (r *rpc) RepositoryModelUnload(ctx context.Context, q *wire.RepositoryModelUnloadRequest) (*wire.RepositoryModelUnloadResponse, error) {
	name := modelName(q.GetName(), q.GetModelName())
	if err := r.s.change(ctx, name, false); err != nil {
		return nil, statusError(ctx, err)
	}
	return &wire.RepositoryModelUnloadResponse{ModelName: name, IsUnloaded: true}, nil
}
