package oip

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/assay-ml/assay/internal/serve"
)

// A held call has its part of the memory for bodies, and can be ended while its message is read.
type held struct {
	part serve.Share
	size int64 // of the message, decoded
	stop context.CancelFunc
}

type heldKey struct{}

func heldOf(ctx context.Context) *held { return ctx.Value(heldKey{}).(*held) }

// admit takes a call when its headers are there, before anything else of it.
func (s *Inference) admit(ctx context.Context, _ *tap.Info) (context.Context, error) {
	if s.calls.Add(1) > maxCalls {
		s.calls.Add(-1)
		s.Server.TurnAway()
		return ctx, status.Errorf(codes.ResourceExhausted, "the server is busy: %d calls are open. Try: send the request again after a second", maxCalls)
	}
	ctx, stop := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { s.calls.Add(-1) }) // grpc-go ends the context with the call, however that ends
	return context.WithValue(ctx, heldKey{}, &held{part: s.Server.NewShare(), stop: stop}), nil
}

// An incoming stream is that of a call as grpc-go has it. What is read by it is read in parts, so that each can ask for its memory
// before; the decoder that grpc-go hands to a method reads the whole message first.
type incoming interface {
	ReadMessageHeader(header []byte) error
	Read(n int) (mem.BufferSlice, error)
	RecvCompress() string
}

// compressed is the flag of a message that is.
const compressed = 1

// receive reads the message of a call into a message of protobuf, within the memory for all bodies and the time that a request has.
func (s *Inference) receive(ctx context.Context, h *held, into any) error {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(incoming)
	if !ok {
		return status.Error(codes.Internal, "BUG: the stream of a call cannot be read in parts")
	}
	late := time.AfterFunc(s.Server.Timeout(), h.stop)
	defer late.Stop()
	err := s.read(stream, h, into.(proto.Message))
	if err == nil {
		err = lastOf(stream)
	}
	if err == nil {
		return nil
	}
	h.part.GiveBack()
	s.Server.TurnAway()
	switch {
	case serve.Busy(err):
		return statusError(ctx, err)
	case ctx.Err() != nil && !late.Stop():
		return status.Errorf(codes.DeadlineExceeded, "the message was not there after %v", s.Server.Timeout())
	}
	return err
}

// read is receive without what comes after the message. Errors are of package status, or one that serve.Busy knows.
func (s *Inference) read(stream incoming, h *held, into proto.Message) error {
	var head [5]byte
	if err := stream.ReadMessageHeader(head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Internal, "the call has no message")
		}
		return err
	}
	limit, length := s.Server.MaxBodyBytes(), int64(binary.BigEndian.Uint32(head[1:]))
	if length > limit {
		return oversize(length, limit)
	}
	if err := h.part.Fits(2 * length); err != nil { // as it came, and decoded
		return err // before it is sent in vain
	}
	from := &wireReader{stream: stream, left: length}
	src, expected := io.Reader(from), length
	switch {
	case head[0] == compressed:
		c := encoding.GetCompressor(stream.RecvCompress())
		if c == nil {
			return status.Errorf(codes.Unimplemented, "the message is compressed, and its encoding %q is none", clip([]byte(stream.RecvCompress())))
		}
		z, err := c.Decompress(src)
		if err != nil {
			return from.because(status.Error(codes.InvalidArgument, "the message cannot be decompressed"))
		}
		src, expected = z, -1
	case head[0] != 0:
		return status.Errorf(codes.Internal, "the message has the unknown flags %d", head[0])
	}
	body, ok := s.messages.Get().(*[]byte)
	if !ok {
		body = new([]byte)
	}
	var err error
	*body, err = h.part.ReadAll(src, *body, expected, limit)
	defer func() {
		if cap(*body) <= keptMessage {
			s.messages.Put(body)
		}
	}()
	switch {
	case serve.Oversize(err):
		return oversize(limit+1, limit)
	case serve.Busy(err):
		return err
	case err != nil:
		return from.because(status.Error(codes.InvalidArgument, "the message cannot be decompressed"))
	}
	h.size = decodedBytes(*body, into.ProtoReflect().Descriptor())
	if err := h.part.Grow(int64(len(*body)) + h.size); err != nil {
		if serve.Busy(err) {
			return err
		}
		return status.Errorf(codes.ResourceExhausted, "%v. Try: fewer rows in a request, or raw_input_contents", err)
	}
	if err := proto.Unmarshal(*body, into); err != nil {
		return status.Errorf(codes.InvalidArgument, "the message cannot be decoded: %v", err)
	}
	h.part.Shrink(h.size)
	return nil
}

// keptMessage is the largest buffer that is kept for later messages.
const keptMessage = 1 << 20

func oversize(n, limit int64) error {
	return status.Errorf(codes.ResourceExhausted, "the message is larger than max (%d vs. %d)", n, limit)
}

// lastOf waits for the end of a call's stream, which has one message only.
func lastOf(stream incoming) error {
	var head [5]byte
	switch err := stream.ReadMessageHeader(head[:]); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return status.Error(codes.Internal, "the call has more than one message")
}

// A wireReader reads the bytes of a message as they come, never more than are asked for: the window of the sender grows by as much.
type wireReader struct {
	stream incoming
	left   int64
	err    error
}

func (r *wireReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.left))
	got, err := r.stream.Read(n)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
		return 0, err
	}
	got.CopyTo(p[:n])
	got.Free()
	r.left -= int64(n)
	return n, nil
}

// because is the error of the stream, if it had one, or err.
func (r *wireReader) because(err error) error {
	if r.err == nil {
		return err
	}
	if _, ok := status.FromError(r.err); ok {
		return r.err
	}
	return status.Errorf(codes.Internal, "the message ends before it should: %v", r.err)
}

// What parts of a decoded message take beside their contents.
const (
	messageSize  = 128 // a message, with the pointer to it
	entrySize    = 128 // an entry of a map, its share of a table that is half full
	headerSize   = 24  // a string or a list of bytes
	smallMessage = 1 << 10
)

// decodedBytes is about how much memory a message takes when it is decoded, which may be a hundred times its own length: a tensor without
// anything is two bytes. A small message is not worth the look. What cannot be read is left to the decoder.
func decodedBytes(b []byte, of protoreflect.MessageDescriptor) int64 {
	if len(b) < smallMessage {
		return int64(len(b))
	}
	return messageBytes(b, of)
}

func messageBytes(b []byte, of protoreflect.MessageDescriptor) int64 {
	n := int64(messageSize)
	for len(b) > 0 {
		number, kind, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return n
		}
		size := protowire.ConsumeFieldValue(number, kind, b[tag:])
		if size < 0 {
			return n
		}
		value := b[tag : tag+size]
		b = b[tag+size:]
		f := of.Fields().ByNumber(number)
		switch {
		case f == nil:
			n += int64(tag + size)
			continue
		case kind != protowire.BytesType:
			n += 8
			continue
		}
		inner, _ := protowire.ConsumeBytes(value)
		switch f.Kind() {
		case protoreflect.MessageKind:
			if f.IsMap() {
				n += entrySize
			}
			n += messageBytes(inner, f.Message())
		case protoreflect.StringKind, protoreflect.BytesKind:
			n += headerSize + int64(len(inner))
		case protoreflect.FloatKind, protoreflect.DoubleKind, protoreflect.BoolKind:
			n += int64(len(inner))
		default: // packed numbers of variable length
			for _, c := range inner {
				if c < 0x80 {
					n += 8
				}
			}
		}
	}
	return n
}
