package serve

import (
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// ReadBody reads the body of a request into Body, within the server's limit after decompression (Content-Encoding gzip, deflate or identity)
// and within the memory for all bodies, and waits for the request's turn. Where the caller waits for so long only, so
// does the reading, as far as w is of a connection. Errors are Invalid, TooLarge telling whether the limit was the reason, and Unavailable.
func (c *Call) ReadBody(w http.ResponseWriter, r *http.Request) error {
	if c.Limit <= 0 || r.ContentLength == 0 {
		return c.readBody(r)
	}
	late := time.AfterFunc(c.left(), func() {
		_ = http.NewResponseController(w).SetReadDeadline(longAgo) // fails where there is no connection
	})
	err := c.readBody(r)
	if late.Stop() {
		return err
	}
	w.Header().Set("Connection", "close") // of which nothing can be read any more
	c.leave()
	c.Outcome, c.Err = Shed, errLate
	return errLate
}

// longAgo ends a reading at once.
var longAgo = time.Unix(1, 0)

func (c *Call) readBody(r *http.Request) error {
	limit := c.server.o.MaxBodyBytes
	if r.ContentLength > limit {
		return c.tooLarge()
	}
	var src io.Reader = r.Body
	expected := int64(-1)
	var wire *fromWire
	enc := r.Header.Get("Content-Encoding")
	if all := r.Header["Content-Encoding"]; len(all) > 1 {
		enc = strings.Join(all, ", ") // one after the other: which is none of those below
	}
	switch strings.ToLower(enc) {
	case "", "identity":
		expected = r.ContentLength
	case "gzip":
		wire = &fromWire{from: r.Body}
		z, err := gzip.NewReader(wire)
		if err != nil {
			return c.cutOff(r, becauseEncoding, wire.err, assay.Errorf(assay.Invalid, "the body is not gzip, as Content-Encoding says"))
		}
		src = z
	case "deflate": // as HTTP means it: zlib
		wire = &fromWire{from: r.Body}
		z, err := zlib.NewReader(wire)
		if err != nil {
			return c.cutOff(r, becauseEncoding, wire.err, assay.Errorf(assay.Invalid, "the body is not deflate, as Content-Encoding says"))
		}
		src = z
	default:
		c.why = becauseEncoding
		return c.Malform(assay.Errorf(assay.Invalid, "Content-Encoding %q is none of gzip, deflate and identity", clip(enc)))
	}
	c.share = c.server.NewShare()
	body, err := c.share.ReadAll(src, c.Body, expected, limit)
	c.Body = body
	switch {
	case err == nil:
		return c.Enter(r.Context())
	case Busy(err):
		return c.shed(r.Context(), err)
	case Oversize(err):
		return c.tooLarge()
	}
	lost, why := err, becauseBody
	if wire != nil {
		if lost = wire.err; lost == nil {
			why = becauseEncoding
		}
	}
	return c.cutOff(r, why, lost, assay.Errorf(assay.Invalid, "the body ends before it should: %w", bareNet(err)))
}

// bareNet takes the addresses off an error of a connection.
func bareNet(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// fromWire notes why the bytes of a request came to an end, which what unpacks them does not tell.
type fromWire struct {
	from io.Reader
	err  error
}

func (f *fromWire) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// cutOff is Malform for a body that could not be read, for the reason why, where lost is the error of the connection, if it had one: a client that went away
// while it sent is no malformed request, nor is one that took all the time that the server has for it.
func (c *Call) cutOff(r *http.Request, why string, lost, err error) error {
	switch {
	case errors.Is(lost, os.ErrDeadlineExceeded):
		c.Outcome, c.Err = Shed, errLate
	case r.Context().Err() != nil || errors.Is(lost, io.ErrUnexpectedEOF) || errors.Is(lost, syscall.ECONNRESET):
		c.Outcome, c.Err = Cancelled, errGone
	default:
		c.why = why
		return c.Malform(err)
	}
	return c.Err
}

func (c *Call) tooLarge() error {
	return c.Malform(assay.Errorf(assay.Invalid, "the body has more than the %d bytes that are allowed%w", c.server.o.MaxBodyBytes, error(errEmpty{})))
}

// errEmpty marks an error as one of size without adding to its text.
type errEmpty struct{}

func (errEmpty) Error() string { return "" }

// TooLarge reports whether err is about the size of a body: the edge answers 413.
func TooLarge(err error) bool { return errors.As(err, &errEmpty{}) }

// answerStatus marks an error with the status that the caller gets, where its code does not say it.
type answerStatus int

func (answerStatus) Error() string { return "" }

// BadGateway is the error of an engine whose server answered wrongly: the edge answers 502.
func BadGateway(format string, args ...any) error {
	return assay.Errorf(assay.Internal, format+"%w", append(args, error(answerStatus(http.StatusBadGateway)))...)
}

// GatewayTimeout is the error of an engine whose server took too long: the edge answers 504.
func GatewayTimeout(format string, args ...any) error {
	return assay.Errorf(assay.Unavailable, format+"%w", append(args, error(answerStatus(http.StatusGatewayTimeout)))...)
}

// statusGone is what the log says of a client that went away before it was answered; it is no status of HTTP, and nobody reads it.
const statusGone = 499

// Status is the HTTP status of an error of a call: 400 for all that is wrong with the request, rows that do not fit included.
func Status(err error) int {
	info := assay.CodeOf(err).Info()
	var g answerStatus
	switch {
	case err == error(errGone):
		return statusGone
	case errors.As(err, &g):
		return int(g)
	case TooLarge(err):
		return http.StatusRequestEntityTooLarge
	case Busy(err):
		return http.StatusTooManyRequests
	case info.Code == assay.Rejected:
		return http.StatusBadRequest
	}
	return info.HTTP
}

// Headers of a W3C trace.
const (
	TraceHeader      = "Traceparent"
	TraceStateHeader = "Tracestate"
)

// A trace is what a request says of the trace that it belongs to.
type trace struct{ parent, state string }

// Traced notes the trace that the request belongs to, by its W3C traceparent and the lines of its tracestate. A parent that is none is left out,
// and the state with it; so is a state that is none.
func (c *Call) Traced(parent string, state []string) {
	if c.Trace = traceID(parent); c.Trace == "" {
		return
	}
	c.trace = trace{parent: parent}
	if s := strings.Join(state, ","); len(s) <= maxTraceState && !strings.ContainsFunc(s, func(r rune) bool { return r > '~' || r < ' ' && r != '\t' }) {
		c.trace.state = s
	}
}

// traceID returns the trace id of a W3C traceparent, or "".
func traceID(h string) string {
	if len(h) < 55 || len(h) > 55 && h[55] != '-' || len(h) > maxTraceParent || h[2] != '-' || h[35] != '-' || h[52] != '-' {
		return ""
	}
	for i := range len(h) {
		if c := h[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c == '-') {
			return ""
		}
	}
	id := h[3:35]
	if strings.Contains(id, "-") {
		return ""
	}
	return id
}

const (
	maxTraceParent = 128
	maxTraceState  = 4096 // a server must pass on 512
)

// traceKey is the key of a trace in the context of an engine.
type traceKey struct{}

// TraceContext returns the W3C traceparent and tracestate of the request that an engine evaluates; "" without one.
func TraceContext(ctx context.Context) (parent, state string) {
	t, _ := ctx.Value(traceKey{}).(trace)
	return t.parent, t.state
}

// Headers by which a caller names a request and reads what was made of it.
const (
	RequestIDHeader = "X-Request-Id"
	VersionHeader   = "X-Assay-Model-Version"
	UnusualHeader   = "X-Assay-Out-Of-Distribution" // the numbers of the rows, from 0, at most unusualTold
	CoercedHeader   = "X-Assay-Coerced"             // likewise, of the rows of which a cast changed a value
	FallbackHeader  = "X-Assay-Fallback"
	TimeoutHeader   = "X-Request-Timeout" // how long the caller waits: seconds, or a number with ms or s
)

// TimeLimit reads a time limit: a number of seconds, or one with the unit ms or s. 0 where there is none that can be read.
func TimeLimit(text string) time.Duration {
	if text == "" {
		return 0
	}
	if last := text[len(text)-1]; last >= '0' && last <= '9' {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0
	}
	return d
}

const unusualTold = 100

// RequestID is the caller's name for the request, if it is short and printable.
func RequestID(r *http.Request) string {
	id := r.Header.Get(RequestIDHeader)
	if len(id) > 128 {
		return ""
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return ""
		}
	}
	return id
}

// NameRequest says in the answer to a request that no version takes what its id is: the caller's, or a new one.
func (s *Server) NameRequest(h http.Header, id string) {
	if id == "" {
		id = s.id()
	}
	h[RequestIDHeader] = []string{id}
}

// WriteHeaders says which request was answered by which version, and what was made of it.
func (c *Call) WriteHeaders(h http.Header) {
	h[RequestIDHeader] = []string{c.ID}
	h[VersionHeader] = c.bound.header
	if c.Err != nil {
		return
	}
	if c.Fallback {
		h.Set(FallbackHeader, "true")
	}
	if len(c.Unusual) > 0 {
		h.Set(UnusualHeader, c.UnusualRows())
	}
	if coerced := c.Rows.Coerced(); len(coerced) > 0 {
		h.Set(CoercedHeader, c.coercedRows(coerced))
	}
}

// WriteReply writes the answer. Its last byte is written by itself and so waits in the server's buffer until the handler has returned: nobody
// has the whole of an answer before End has handed it to the log.
func (c *Call) WriteReply(w http.ResponseWriter) {
	last := max(0, len(c.Reply)-1)
	if _, err := w.Write(c.Reply[:last]); err == nil { // a client that went away needs no answer
		_, _ = w.Write(c.Reply[last:])
	}
}

// coercedRows lists the numbers of the rows of which a cast changed a value, as UnusualRows does.
func (c *Call) coercedRows(coerced []schema.Coercion) string {
	rows := make([]bool, c.Rows.Rows())
	for _, x := range coerced {
		rows[x.Row] = true
	}
	return numbers(rows)
}

// UnusualRows lists the numbers of the rows that count as out of distribution, from 0, with commas; of many only the first hundred.
func (c *Call) UnusualRows() string { return numbers(c.Unusual) }

func numbers(rows []bool) string {
	var out []byte
	told := 0
	for i, f := range rows {
		if !f {
			continue
		}
		if told++; told > unusualTold {
			return string(append(out, ",…"...))
		}
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, int64(i), 10)
	}
	return string(out)
}
