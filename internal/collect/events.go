package collect

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// Limits of Events.
const (
	maxPairs     = 20000
	maxPairBytes = 64 << 20
	pairTimeout  = 60 * time.Second
	maxEventID   = 256
	maxSkew      = time.Minute // that a sender's clock may be ahead
	maxTaken     = 1 << 17     // events that were taken in and are remembered, to tell those that come again
)

// Events takes CloudEvents in HTTP's binary mode, as KServe's logger (spec 1.0) and Seldon and MLServer (0.3) send them: the request in
// one event, the answer in another with the same id, in either order. A half waits for the other for a minute, within bounds of number
// and bytes; one that waited in vain, or found no room, is a row that is missing in the log. An event that is delivered again (the same id, type, time
// and body) is counted, and nothing else, as long as it is among the last maxTaken.
type Events struct {
	Recorder *Recorder
	Clock    func() time.Time // required

	lock    sync.Mutex
	halves  map[string]*half
	order   []*half // by arrival
	bytes   int
	taken   map[eventDigest]struct{}
	came    []eventDigest // of taken, a ring
	next    int           // where in it the oldest is
	counted struct {
		pairs, unpaired, full, repeated, twice, wrong int64
		ahead, timeless                               int64
	}
}

// eventDigest tells an event that is delivered again from another one that a caller gave the same id.
type eventDigest [16]byte

// A half is an event that waits for its other.
type half struct {
	key       string
	model, id string
	response  bool
	body      Body
	digest    eventDigest
	at        time.Time // of the event
	came      time.Time
	done      bool
}

// Routes adds the collector's paths to mux.
func (e *Events) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /events", e.take)
	mux.HandleFunc("POST /models/{name}/events", e.take)
}

func refuse(w http.ResponseWriter, err error) {
	status := serve.Status(err)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(schema.AppendJSONString([]byte(`{"error":`), []byte(err.Error())), '}'))
}

func (e *Events) take(w http.ResponseWriter, r *http.Request) {
	h, err := e.event(r)
	if err != nil {
		e.count(&e.counted.wrong)
		refuse(w, err)
		return
	}
	// An event of a model that is not served must not hold memory.
	versions, _ := e.Recorder.Server.Versions(h.model)
	if h.model != "" && len(versions) == 0 {
		e.count(&e.counted.wrong)
		refuse(w, assay.Errorf(assay.NotFound, "model %q is not served", h.model))
		return
	}
	other, missed, err := e.pair(h)
	if err != nil {
		if missed {
			_ = e.Recorder.Server.Missed(h.model, "", 1)
		}
		refuse(w, err)
		return
	}
	if other != nil {
		request, response := h, other
		if h.response {
			request, response = other, h
		}
		x := &Exchange{ID: request.id, Model: request.model, At: request.at, Request: request.body, Response: response.body}
		if took := response.at.Sub(request.at); took > 0 {
			x.Took = took
		}
		if _, err := e.Recorder.Record(x); err != nil {
			if code := assay.CodeOf(err); code == assay.NotFound || code == assay.Unavailable { // nothing was logged
				_ = e.Recorder.Server.Missed(h.model, "", 1)
			}
			e.count(&e.counted.wrong)
			refuse(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusOK)
}

func (e *Events) count(n *int64) {
	e.lock.Lock()
	defer e.lock.Unlock()
	*n++
}

// event reads the headers and the body of one event. Errors are Invalid.
func (e *Events) event(r *http.Request) (*half, error) {
	kind := r.Header.Get("Ce-Type")
	h := &half{model: r.PathValue("name"), came: e.Clock()}
	switch {
	case r.Header.Get("Ce-Specversion") == "":
		return nil, assay.Errorf(assay.Invalid, "not a CloudEvent in binary mode: the header Ce-Specversion is missing")
	case kind == "org.kubeflow.serving.inference.request", kind == "io.seldon.serving.inference.request":
	case kind == "org.kubeflow.serving.inference.response", kind == "io.seldon.serving.inference.response":
		h.response = true
	default:
		return nil, assay.Errorf(assay.Invalid, "Ce-Type is none of inference.request and inference.response of KServe and Seldon")
	}
	h.id = r.Header.Get("Ce-Id")
	if strings.HasPrefix(kind, "io.seldon.") { // its Ce-Id is of the event, and differs between the two
		if id := r.Header.Get("Ce-Requestid"); id != "" {
			h.id = id
		}
		if h.model == "" {
			h.model = r.Header.Get("Ce-Modelid")
		}
	} else if h.model == "" {
		h.model = r.Header.Get("Ce-Inferenceservicename")
	}
	if h.id == "" || len(h.id) > maxEventID || len(h.model) > maxEventID {
		return nil, assay.Errorf(assay.Invalid, "the event has no id that is at most %d bytes long", maxEventID)
	}
	h.at = h.came
	if text := r.Header.Get("Ce-Time"); text != "" {
		switch at, err := time.Parse(time.RFC3339Nano, text); {
		case err != nil:
			e.count(&e.counted.timeless)
		case at.Sub(h.came) > maxSkew:
			e.count(&e.counted.ahead)
		default:
			h.at = at
		}
	}
	limit := e.Recorder.Server.MaxBodyBytes()
	body, done, err := e.Recorder.Server.ReadAll(r.Body, r.ContentLength, limit)
	defer done()
	if err != nil {
		return nil, err
	}
	h.body.Data = body
	// KServe's logger gives the answer the content type of the request.
	if h.body.Type = r.Header.Get("Content-Type"); h.response {
		h.body.Type = ""
	}
	h.key = h.model + "\x00" + h.id
	sum := sha256.New()
	for _, part := range []string{h.key, kind, r.Header.Get("Ce-Time")} {
		_, _ = io.WriteString(sum, part+"\x00")
	}
	_, _ = sum.Write(body)
	h.digest = eventDigest(sum.Sum(nil))
	return h, nil
}

// pair finds the other half, or keeps this one. Errors are Unavailable when there is no room, and Exists for an event that was there, or while another one of
// the same id waits; missed says that what it tells of is not in the log and will not be.
func (e *Events) pair(h *half) (other *half, missed bool, err error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.expire(h.came)
	if e.halves == nil {
		e.halves = map[string]*half{}
	}
	other = e.halves[h.key]
	if _, ok := e.taken[h.digest]; ok || other != nil && other.digest == h.digest {
		e.counted.repeated++
		return nil, false, assay.Errorf(assay.Exists, "this event was taken before")
	}
	if other != nil {
		if other.response == h.response {
			e.counted.twice++
			return nil, true, assay.Errorf(assay.Exists, "another event of this type and id waits for its other half")
		}
		e.drop(other)
		e.counted.pairs++
		e.remember(h.digest)
		e.remember(other.digest)
		return other, false, nil
	}
	if len(e.halves) >= maxPairs || e.bytes+len(h.body.Data) > maxPairBytes {
		e.counted.full++
		return nil, true, assay.Errorf(assay.Unavailable, "too many events wait for their other half")
	}
	e.halves[h.key] = h
	e.order = append(e.order, h)
	e.bytes += len(h.body.Data)
	return nil, false, nil
}

// remember notes an event that was taken in, in place of the oldest.
func (e *Events) remember(d eventDigest) {
	if e.taken == nil {
		e.taken = map[eventDigest]struct{}{}
	}
	if e.taken[d] = struct{}{}; len(e.came) < maxTaken {
		e.came = append(e.came, d)
		return
	}
	delete(e.taken, e.came[e.next])
	e.came[e.next] = d
	e.next = (e.next + 1) % maxTaken
}

func (e *Events) drop(h *half) {
	delete(e.halves, h.key)
	e.bytes -= len(h.body.Data)
	h.done = true
	// The order keeps a small husk until its turn.
	for len(e.order) > 0 && e.order[0].done {
		e.order = e.order[1:]
	}
}

// expire gives up halves that waited in vain.
func (e *Events) expire(now time.Time) {
	for len(e.order) > 0 && (e.order[0].done || now.Sub(e.order[0].came) > pairTimeout) {
		h := e.order[0]
		e.order = e.order[1:]
		if h.done {
			continue
		}
		delete(e.halves, h.key)
		e.bytes -= len(h.body.Data)
		e.counted.unpaired++
		_ = e.Recorder.Server.Missed(h.model, "", 1) // a model that is gone has no log to miss it in
	}
}

// Expire gives up what waited in vain, and reports how much waits still.
func (e *Events) Expire(now time.Time) int {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.expire(now)
	return len(e.halves)
}

// Close gives up everything that waits: it is missing in the log.
func (e *Events) Close() { e.Expire(e.Clock().Add(2 * pairTimeout)) }

var (
	descEvents  = prometheus.NewDesc("assay_events_total", "Events of other servers' predictions, by what became of them.", []string{"outcome"}, nil)
	descClock   = prometheus.NewDesc("assay_events_time_total", "Events that count as of the time when they came, by what was wrong with theirs.", []string{"problem"}, nil)
	descWaiting = prometheus.NewDesc("assay_events_waiting", "Events that wait for their other half.", nil, nil)
)

// Describe implements prometheus.Collector.
func (e *Events) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(e, ch) }

// Collect implements prometheus.Collector.
func (e *Events) Collect(ch chan<- prometheus.Metric) {
	waiting := e.Expire(e.Clock())
	e.lock.Lock()
	defer e.lock.Unlock()
	n := &e.counted
	for outcome, count := range map[string]int64{"paired": n.pairs, "unpaired": n.unpaired, "no_room": n.full, "repeated": n.repeated, "duplicate": n.twice, "wrong": n.wrong} {
		ch <- prometheus.MustNewConstMetric(descEvents, prometheus.CounterValue, float64(count), outcome)
	}
	for problem, count := range map[string]int64{"ahead": n.ahead, "unreadable": n.timeless} {
		ch <- prometheus.MustNewConstMetric(descClock, prometheus.CounterValue, float64(count), problem)
	}
	ch <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(waiting))
}
