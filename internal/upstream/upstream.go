// Package upstream evaluates a model by asking another server that has it: one that speaks the Open Inference Protocol v2 over REST, or
// one with MLflow's /invocations. To package serve it is an engine like any other, so that what stands before and behind a model (the
// schemas, outliers, the log) stands before and behind the other server, too. Its answers are held against the rows that were sent: how
// many, under which names, of which types. What does not fit is an error and never passed on.
//
// The package does not balance load over several servers, and sends a request twice only when the first one never left this machine.
package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A Protocol is what a server speaks.
type Protocol string

// Protocols of a server.
const (
	OpenInference Protocol = "oip"         // Open Inference Protocol v2, REST and JSON
	Invocations   Protocol = "invocations" // MLflow's scoring server, SageMaker's containers
)

// Defaults of Options.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 16 << 20

	dialTimeout  = 2 * time.Second
	idleTimeout  = 90 * time.Second
	maxIdle      = 64      // connections that wait for the next request
	maxErrorRead = 4 << 10 // bytes of an error's body that are read so that its connection can be used again
)

// Options say which server has the model, and what it takes and answers.
type Options struct {
	// URL is the root of a server of the Open Inference Protocol, or the whole address of /invocations. "{version}" in it and in Version
	// stands for the version's number.
	URL      string
	Protocol Protocol
	Model    string // name of the model there; of the Open Inference Protocol only
	Version  string // of the model there; empty: the server's default
	Number   int    // of the version in the registry

	Token string // sent as a bearer token; empty: none. Never repeated in an error

	Fields []assay.Field // of the input schema, in its order
	Answer Answer

	Timeout  time.Duration    // of a request, however long the caller waits; 0: DefaultTimeout
	MaxBytes int64            // of an answer; 0: DefaultMaxBytes
	Clock    func() time.Time // required
}

// An Engine asks the server. It implements serve.Engine.
type Engine struct {
	o      Options
	url    string // of inference
	meta   string // of the model's metadata; empty where the protocol has none
	client *http.Client
	trip   breaker

	lock   sync.Mutex
	inputs *inputs // as the server declares them; nil until it was asked
}

// New makes an engine. The server is asked when the first rows come, so that it need not run yet. Errors are Invalid.
func New(o Options) (*Engine, error) {
	if o.Clock == nil {
		panic("BUG: upstream.New without a clock")
	}
	var bad assay.Problems
	number := strconv.Itoa(o.Number)
	address := strings.ReplaceAll(o.URL, "{version}", number)
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		bad.Add("the address of the upstream is not http://HOST:PORT or https://HOST:PORT")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		bad.Add("the address of the upstream must hold neither a password nor a query")
	}
	if o.Token != "" && u != nil && u.Scheme == "http" && !local(u.Hostname()) {
		bad.Add("a token is sent to another machine over https alone")
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad.Add("the token holds what a header cannot")
	}
	e := &Engine{o: o, trip: breaker{clock: o.Clock}}
	switch o.Protocol {
	case OpenInference:
		if o.Model == "" {
			bad.Add("the model's name on the upstream is missing")
		}
		e.meta = strings.TrimRight(address, "/") + "/v2/models/" + url.PathEscape(o.Model)
		if o.Version != "" {
			e.meta += "/versions/" + url.PathEscape(strings.ReplaceAll(o.Version, "{version}", number))
		}
		e.url = e.meta + "/infer"
		for _, f := range o.Fields {
			if f.Type == assay.TypeJSON || f.Type == assay.TypeBinary {
				bad.Add("column %q is of type %s, for which the Open Inference Protocol has no tensor", f.Name, f.Type)
			}
		}
	case Invocations:
		e.url = address
	default:
		bad.Add("the upstream's protocol is %q; want %s or %s", o.Protocol, OpenInference, Invocations)
	}
	if err := o.Answer.compile(&e.o.Answer); err != nil {
		bad.Add("%v", err)
	}
	if err := bad.Err(assay.Invalid, "the upstream cannot be asked"); err != nil {
		return nil, err
	}
	if e.o.Timeout <= 0 {
		e.o.Timeout = DefaultTimeout
	}
	if e.o.MaxBytes <= 0 {
		e.o.MaxBytes = DefaultMaxBytes
	}
	e.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConns:        maxIdle,
			MaxIdleConnsPerHost: maxIdle,
			IdleConnTimeout:     idleTimeout,
			TLSHandshakeTimeout: dialTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close gives the connections back.
func (e *Engine) Close() error {
	e.client.CloseIdleConnections()
	return nil
}

// Healthy reports whether the last requests found the server working.
func (e *Engine) Healthy() bool { return !e.trip.open() }

// Predict implements serve.Engine. Errors are Unavailable (503) when the server cannot be reached, is busy or was found broken just
// before; Unavailable (504) when it took too long; Internal (502) when it answered with an error or with what is no answer for these
// rows.
func (e *Engine) Predict(ctx context.Context, rows *schema.Batch, out *serve.Output) error {
	return e.PredictWith(ctx, rows, nil, out)
}

// TakesParams reports whether the protocol has a place for parameters of a prediction.
func (e *Engine) TakesParams() bool { return e.o.Protocol == Invocations }

// PredictWith implements serve.Parametric. The Open Inference Protocol has no place for parameters of a prediction that its servers agree
// on, so that they are Rejected there.
func (e *Engine) PredictWith(ctx context.Context, rows *schema.Batch, params []byte, out *serve.Output) error {
	if len(params) > 0 && !e.TakesParams() {
		return assay.Errorf(assay.Rejected, "the request has parameters, and the model is asked over a protocol that has none")
	}
	probe, err := e.trip.enter()
	if err != nil {
		return err
	}
	f, err := e.ask(ctx, rows, params, out)
	e.trip.leave(probe, f)
	return err
}

// A fault says what a request tells of the server.
type fault uint8

const (
	works   fault = iota // it answered, be it with a refusal
	broken               // it could not be reached, or failed
	unknown              // the caller went away
)

func (e *Engine) ask(ctx context.Context, rows *schema.Batch, params []byte, out *serve.Output) (fault, error) {
	own, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	in, f, err := e.declared(own, ctx)
	if err != nil {
		return f, err
	}
	// The connection may read the body after an early answer, so that its memory cannot be used for another request.
	body, err := e.encode(nil, rows, in)
	if err != nil {
		return works, err
	}
	if len(params) > 0 {
		body = append(append(append(body[:len(body)-1], `,"params":`...), params...), '}')
	}
	answer, f, err := e.send(own, ctx, http.MethodPost, e.url, body)
	if err != nil {
		return f, err
	}
	if e.o.Protocol == Invocations {
		err = e.o.Answer.Predictions(answer, rows.Rows(), out)
	} else {
		err = e.o.Answer.Tensors(answer, rows.Rows(), out)
	}
	if err != nil {
		return works, serve.BadGateway("the upstream's answer: %v", err)
	}
	return works, nil
}

// declared returns what the server says of the model's inputs, and asks for it once.
func (e *Engine) declared(own, caller context.Context) (*inputs, fault, error) {
	if e.meta == "" {
		return nil, works, nil
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.inputs != nil {
		return e.inputs, works, nil
	}
	body, f, err := e.send(own, caller, http.MethodGet, e.meta, nil)
	if err != nil {
		return nil, f, err
	}
	in, err := readInputs(body, e.o.Fields)
	if err != nil {
		return nil, works, serve.BadGateway("the upstream's description of the model: %v", err)
	}
	e.inputs = in
	return in, works, nil
}

// send sends one request and returns the body of an answer of status 200. A request that found nobody listening is sent once more; one
// that may have been read is not.
func (e *Engine) send(own, caller context.Context, method, url string, body []byte) ([]byte, fault, error) {
	for again := false; ; again = true {
		r, err := http.NewRequestWithContext(own, method, url, bytes.NewReader(body))
		if err != nil {
			return nil, unknown, assay.Errorf(assay.Internal, "the request to the upstream: %w", bare(err))
		}
		r.Header.Set("Accept", "application/json")
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		if e.o.Token != "" {
			r.Header.Set("Authorization", "Bearer "+e.o.Token)
		}
		if parent, state := serve.TraceContext(own); parent != "" {
			r.Header.Set(serve.TraceHeader, parent)
			if state != "" {
				r.Header.Set(serve.TraceStateHeader, state)
			}
		}
		if until, ok := own.Deadline(); ok {
			// The other server need not work for an answer that nobody waits for. Deadlines are of the machine's clock.
			r.Header.Set(serve.TimeoutHeader, strconv.FormatInt(max(1, time.Until(until).Milliseconds()), 10)+"ms")
		}
		w, err := e.client.Do(r)
		if err != nil {
			f, err := e.failed(own, caller, err)
			if f == broken && !again && dialled(err) {
				continue
			}
			return nil, f, err
		}
		answer, f, err := e.read(own, caller, w)
		return answer, f, err
	}
}

// unreachable marks an error as one of a connection that could not be made.
type unreachable struct{ error }

func dialled(err error) bool { return errors.As(err, &unreachable{}) }

// failed is the error of a request that got no answer.
func (e *Engine) failed(own, caller context.Context, err error) (fault, error) {
	switch {
	case caller.Err() != nil && errors.Is(caller.Err(), context.Canceled):
		return unknown, assay.Errorf(assay.Unavailable, "the caller went away")
	case caller.Err() != nil:
		return unknown, serve.GatewayTimeout("the upstream did not answer in the time that the caller waits")
	case own.Err() != nil:
		return broken, serve.GatewayTimeout("the upstream did not answer within %s", e.o.Timeout)
	}
	err = bare(err)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		err = unreachable{op.Err}
	}
	return broken, assay.Errorf(assay.Unavailable, "the upstream cannot be reached: %w", err)
}

// bare takes the address off an error, which a caller need not see.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// read reads an answer within the limit.
func (e *Engine) read(own, caller context.Context, w *http.Response) ([]byte, fault, error) {
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, w.Body, maxErrorRead)
		switch w.StatusCode {
		case http.StatusTooManyRequests:
			return nil, works, assay.Errorf(assay.Unavailable, "the upstream is busy (status 429)")
		case http.StatusServiceUnavailable:
			return nil, broken, assay.Errorf(assay.Unavailable, "the upstream does not take requests (status 503)")
		case http.StatusGatewayTimeout:
			return nil, broken, serve.GatewayTimeout("the upstream says that it was too slow (status 504)")
		}
		f := works
		if w.StatusCode >= http.StatusInternalServerError {
			f = broken
		}
		// Rows that fit the input schema and that the other server refuses are a fault between the two, not of the caller.
		return nil, f, serve.BadGateway("the upstream answered with status %d", w.StatusCode)
	}
	if w.ContentLength > e.o.MaxBytes {
		return nil, works, serve.BadGateway("the upstream's answer has more than the %d bytes that are read", e.o.MaxBytes)
	}
	body, err := io.ReadAll(io.LimitReader(w.Body, e.o.MaxBytes+1))
	if err != nil {
		if own.Err() != nil {
			f, err := e.failed(own, caller, err)
			return nil, f, err
		}
		return nil, broken, serve.BadGateway("the upstream's answer ends before it should")
	}
	if int64(len(body)) > e.o.MaxBytes {
		return nil, works, serve.BadGateway("the upstream's answer has more than the %d bytes that are read", e.o.MaxBytes)
	}
	return body, works, nil
}
