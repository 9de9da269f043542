// Package serve answers predictions of registered versions: a request is read into a schema.Batch, held against the version's input
// schema, evaluated, held against the output schema, answered and logged. A version is bound to its schemas and its reference by the
// serving evidence (Bind), so that what stands before and behind a model in production is what was proven.
//
// An edge (packages mlflow, oip and the like) turns its wire format into a Call and a Call's outcome into its wire format; all that
// decides is here. Nothing that watches (the log, counters) blocks a prediction. The package does not train, judge or promote.
package serve

import (
	"context"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-ml/assay"
)

// Defaults of Options.
const (
	DefaultMaxBodyBytes = 16 << 20
	DefaultMaxRows      = 10000
	DefaultTimeout      = 60 * time.Second
	DefaultMaxQueue     = 1024
	DefaultMaxWait      = 10 * time.Second

	// DrainTimeout is how long a version that was replaced waits for its last requests.
	DrainTimeout = 30 * time.Second
)

// Options bound what a Server takes on.
type Options struct {
	Clock        func() time.Time // required
	Nonce        string           // makes the ids of this process's requests unlike those of any other; required
	MaxBodyBytes int64            // of a request, after decompression
	MaxRows      int              // of a request
	Timeout      time.Duration    // of a request
	Concurrent   int              // requests that are evaluated at once; 0: four for each processor
	MaxQueue     int              // requests that wait for their turn; the next one is turned away
	MaxWait      time.Duration    // for a turn; who waited so long is turned away
	Log          Recorder         // nil: predictions are not logged
	OnIncident   func(Incident)   // is told where a call with an incident ends, by its goroutine: it must not wait; nil: nobody is
}

// A Recorder takes finished calls to log them. Offer never blocks: it returns false when it has no room, and the loss is counted. A
// call that was taken belongs to the recorder until it calls Release.
type Recorder interface{ Offer(*Call) bool }

// A Server answers predictions. It is safe for use by several goroutines.
type Server struct {
	o       Options
	routes  atomic.Pointer[routes]
	change  sync.Mutex // held by whoever changes routes
	leaving []*Bound   // versions that no longer answer and may still have requests; under change
	ids     atomic.Int64
	calls   sync.Pool
	gate    admission
	large   admission // of requests with large bodies, before gate
	bodies  budget
	counted counters
	shadows shadows
	ready   atomic.Bool
}

// New returns a Server without versions.
func New(o Options) *Server {
	if o.Clock == nil || o.Nonce == "" {
		panic("BUG: serve.New without a clock or a nonce")
	}
	o.MaxBodyBytes = orDefault(o.MaxBodyBytes, DefaultMaxBodyBytes)
	o.MaxRows = orDefault(o.MaxRows, DefaultMaxRows)
	o.Timeout = orDefault(o.Timeout, DefaultTimeout)
	o.MaxQueue = orDefault(o.MaxQueue, DefaultMaxQueue)
	o.MaxWait = orDefault(o.MaxWait, DefaultMaxWait)
	s := &Server{o: o}
	s.gate.init(o.Concurrent, o.MaxQueue, o.MaxWait)
	s.large.init(max(1, cap(s.gate.slots)/2), o.MaxQueue, o.MaxWait)
	s.bodies.most = bodiesAtOnce * (o.MaxBodyBytes + 1)
	s.routes.Store(&routes{models: map[string]*endpoint{}})
	s.calls.New = func() any { return &Call{server: s} }
	s.counted.init()
	s.shadows.init()
	return s
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// routes says which version answers for which name. It is replaced as a whole and never changed.
type routes struct {
	models map[string]*endpoint
	names  []string // sorted
}

// An endpoint is one model name.
type endpoint struct {
	live     *Bound // answers when no version is asked for; nil while only others are loaded
	versions map[int]*Bound
	split    *Split // of the requests that name no version; nil: live answers them all
}

// A Route says which versions answer for a model name.
type Route struct {
	Live     *Bound // answers when no version is asked for; nil while only others are loaded
	Versions []*Bound
	Split    *Split // of the live version's traffic; its versions are among Versions
}

// Set makes exactly the given versions answer for a model name, with live (one of them, or nil) for requests that name no version. The
// change is atomic: a request sees the versions before or after it. Versions that no longer answer are closed when their last request
// has ended. No version at all takes the name away.
func (s *Server) Set(name string, live *Bound, versions ...*Bound) {
	s.Route(name, Route{Live: live, Versions: versions})
}

// Route is Set with a split of the traffic.
func (s *Server) Route(name string, r Route) {
	live, versions := r.Live, r.Versions
	if r.Split != nil {
		s.shadows.start.Do(func() { go s.runShadows() })
	}
	s.change.Lock()
	defer s.change.Unlock()
	old := s.routes.Load()
	next := &routes{models: map[string]*endpoint{}}
	for n, e := range old.models {
		if n != name {
			next.models[n] = e
		}
	}
	if len(versions) > 0 {
		e := &endpoint{live: live, versions: map[int]*Bound{}, split: r.Split}
		for _, b := range versions {
			e.versions[b.Number] = b
		}
		next.models[name] = e
	}
	for n := range next.models {
		next.names = append(next.names, n)
	}
	sort.Strings(next.names)
	s.routes.Store(next)
	if e := old.models[name]; e != nil {
		for number, b := range e.versions {
			if now := next.models[name]; now == nil || now.versions[number] != b {
				b.retire()
				s.leaving = append(s.leaving, b)
			}
		}
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(b *Bound) bool {
		select {
		case <-b.closed:
			return true
		default:
			return false
		}
	})
}

// Models returns the names that are served, sorted.
func (s *Server) Models() []string { return append([]string(nil), s.routes.Load().names...) }

// Versions returns what is served under a name, oldest first, and the version that answers by default, or nil.
func (s *Server) Versions(name string) (versions []*Bound, live *Bound) {
	e := s.routes.Load().models[name]
	if e == nil {
		return nil, nil
	}
	for _, b := range e.versions {
		versions = append(versions, b)
	}
	sort.Slice(versions, func(i, j int) bool { return versions[i].Number < versions[j].Number })
	return versions, e.live
}

// MaxBodyBytes returns how large a request may be, after decompression.
func (s *Server) MaxBodyBytes() int64 { return s.o.MaxBodyBytes }

// SetReady says whether the server takes traffic: what /readyz and its like answer.
func (s *Server) SetReady(ready bool) { s.ready.Store(ready) }

// Ready reports whether the server takes traffic and at least one model answers.
func (s *Server) Ready() bool { return s.ready.Load() && len(s.routes.Load().names) > 0 }

// Waiting returns how many requests wait for their turn.
func (s *Server) Waiting() int64 { return s.gate.waiting.Load() + s.large.waiting.Load() }

// BodyBytes returns how much memory the bodies of requests take, but for the first 32 KiB of each.
func (s *Server) BodyBytes() int64 { return s.bodies.used.Load() }

// Close takes every version away and waits for their last requests, at most DrainTimeout.
func (s *Server) Close(ctx context.Context) error {
	s.SetReady(false)
	for _, name := range s.Models() {
		s.Set(name, nil)
	}
	s.change.Lock()
	all := slices.Clone(s.leaving)
	s.change.Unlock()
	close(s.shadows.stop)
	s.shadows.end()
	s.shadows.start.Do(func() { close(s.shadows.done) }) // nobody was to be compared
	ctx, cancel := context.WithTimeout(ctx, DrainTimeout)
	defer cancel()
	for _, b := range all {
		select {
		case <-b.closed:
		case <-ctx.Done():
			return assay.Errorf(assay.Unavailable, "requests to %s were still running when the server stopped", b)
		}
	}
	return nil
}

// acquire finds the version that a request asks for and holds it for c until release. An empty name is the only model, an empty version
// the default one, or the one that a split chooses.
func (s *Server) acquire(c *Call, name, version, id string, header func(string) string) error {
	for {
		r := s.routes.Load()
		if name == "" {
			switch len(r.names) {
			case 0:
				return assay.Errorf(assay.Unavailable, "no model is served").Try("assay serve check, then assay promote --to production")
			case 1:
				name = r.names[0]
			default:
				return assay.Errorf(assay.NotFound, "%d models are served: the request must name one", len(r.names))
			}
		}
		e := r.models[name]
		if e == nil {
			return assay.Errorf(assay.NotFound, "model %q is not served", clip(name))
		}
		c.bound, c.split, c.draw, c.late = e.live, nil, draw{}, false
		if version != "" {
			n, err := strconv.Atoi(version)
			if err != nil {
				return assay.Errorf(assay.NotFound, "%q is not a version of model %q: versions are numbers", clip(version), name)
			}
			if c.bound = e.versions[n]; c.bound == nil {
				return assay.Errorf(assay.NotFound, "version %d of model %q is not served", n, name)
			}
		} else if e.split != nil {
			c.split = e.split
			c.bound, c.draw, c.late = e.split.choose(id, header)
		}
		if c.bound == nil {
			return assay.Errorf(assay.Unavailable, "no version of model %q is in production", name).Try("assay promote --to production %s:VERSION", name)
		}
		if c.bound.hold() {
			return nil
		}
	}
}

// clip shortens what a request said before it is repeated.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// id returns a new id of a request.
func (s *Server) id() string {
	var room [64]byte
	return string(strconv.AppendInt(append(append(room[:0], s.o.Nonce...), '-'), s.ids.Add(1), 16))
}
