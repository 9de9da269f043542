package serve

import (
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencyBounds are the upper bounds of the latency histogram in seconds.
var latencyBounds = []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60}

// A versionCounters counts what happened to one version. It outlives the version, as counters must not go back.
type versionCounters struct {
	name, version string
	requests      [len(outcomeNames)]atomic.Int64
	rows          [len(outcomeNames)]atomic.Int64
	outliers      atomic.Int64 // rows
	unknown       atomic.Int64 // values under names that the schema does not have
	clipped       atomic.Int64 // probabilities
	fallbacks     atomic.Int64 // requests
	badOutput     atomic.Int64 // answers of the model that were not passed on, with a fallback
	lost          atomic.Int64 // rows that the log had no room for, or could not write
	latency       []atomic.Int64
	micros        atomic.Int64

	coercing sync.Mutex
	coerced  map[coercion]int64 // values that were cast
}

// coercion is what a cast did to values of a column.
type coercion struct{ column, rule string }

// counters are those of a server.
type counters struct {
	lock     sync.RWMutex
	versions map[string]*versionCounters
	unrouted atomic.Int64 // requests for a model or version that is not served
	unread   atomic.Int64 // requests that were refused before it was known what they are for
}

func (c *counters) init() { c.versions = map[string]*versionCounters{} }

func (c *counters) version(name string, number int) *versionCounters {
	key := name + ":" + strconv.Itoa(number)
	c.lock.Lock()
	defer c.lock.Unlock()
	v := c.versions[key]
	if v == nil {
		v = &versionCounters{name: name, version: strconv.Itoa(number), latency: make([]atomic.Int64, len(latencyBounds)+1), coerced: map[coercion]int64{}}
		c.versions[key] = v
	}
	return v
}

// count notes how a call ended.
func (c *Call) count() {
	v := c.bound.counters
	v.requests[c.Outcome].Add(1)
	v.rows[c.Outcome].Add(int64(c.Rows.Rows()))
	if c.Fallback {
		v.fallbacks.Add(1)
	}
	if c.Rows.Unknown > 0 {
		v.unknown.Add(c.Rows.Unknown)
	}
	if coerced := c.Rows.Coerced(); len(coerced) > 0 {
		v.coercing.Lock()
		for _, x := range coerced {
			v.coerced[coercion{c.Rows.Validator().Field(x.Field).Name, x.Rule}]++
		}
		v.coercing.Unlock()
	}
	if n := len(c.clipped()); n > 0 {
		v.clipped.Add(int64(n))
	}
	v.micros.Add(int64(c.Took / time.Microsecond))
	v.latency[sort.SearchFloat64s(latencyBounds, c.Took.Seconds())].Add(1)
}

// A Tally is what happened to one version since the server started.
type Tally struct {
	Name     string           `json:"name"`
	Version  string           `json:"version"`
	Requests map[string]int64 `json:"requests"` // by outcome
	Rows     map[string]int64 `json:"rows"`     // by outcome
	Outliers int64            `json:"outliers"`
	Unknown  int64            `json:"unknown_values"`
	Coerced  int64            `json:"coerced_values"`        // that a cast changed
	Clipped  int64            `json:"clipped_probabilities"` // that float32 rounding had put outside 0 to 1
	Fallback int64            `json:"fallbacks"`
	Withheld int64            `json:"withheld"` // answers of the model that the fallback took the place of
	Lost     int64            `json:"lost_rows"`
}

// Tallies returns the counts of every version that was ever served, by name and version.
func (s *Server) Tallies() []Tally {
	s.counted.lock.RLock()
	defer s.counted.lock.RUnlock()
	var out []Tally
	for _, v := range s.counted.versions {
		t := Tally{
			Name: v.name, Version: v.version, Requests: map[string]int64{}, Rows: map[string]int64{},
			Outliers: v.outliers.Load(), Unknown: v.unknown.Load(), Coerced: v.casts(nil), Clipped: v.clipped.Load(), Fallback: v.fallbacks.Load(), Withheld: v.badOutput.Load(), Lost: v.lost.Load(),
		}
		for i, name := range outcomeNames {
			t.Requests[name], t.Rows[name] = v.requests[i].Load(), v.rows[i].Load()
		}
		out = append(out, t)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Name != out[j].Name {
			return out[i].Name < out[j].Name
		}
		return len(out[i].Version) < len(out[j].Version) || len(out[i].Version) == len(out[j].Version) && out[i].Version < out[j].Version
	})
	return out
}

// casts returns how many values were cast, and tells each of how many of which column and by which rule; each may be nil.
func (v *versionCounters) casts(each func(coercion, int64)) (all int64) {
	v.coercing.Lock()
	defer v.coercing.Unlock()
	for what, n := range v.coerced {
		all += n
		if each != nil {
			each(what, n)
		}
	}
	return all
}

var (
	descRequests = prometheus.NewDesc("assay_requests_total", "Prediction requests by outcome.", []string{"model", "version", "outcome"}, nil)
	descRows     = prometheus.NewDesc("assay_rows_total", "Rows of prediction requests by outcome.", []string{"model", "version", "outcome"}, nil)
	descOutliers = prometheus.NewDesc("assay_out_of_distribution_rows_total", "Rows unlike what the model learned from.", []string{"model", "version"}, nil)
	descUnknown  = prometheus.NewDesc("assay_unknown_values_total", "Values under names that the input schema does not have, left out.", []string{"model", "version"}, nil)
	descCoerced  = prometheus.NewDesc("assay_coerced_values_total", "Values that a cast of MLflow changed, by column and by what the cast did.", []string{"model", "version", "column", "rule"}, nil)
	descClipped  = prometheus.NewDesc("assay_clipped_probabilities_total", "Probabilities that float32 rounding had put outside 0 to 1, answered as the bound.", []string{"model", "version"}, nil)
	descFallback = prometheus.NewDesc("assay_fallback_requests_total", "Requests answered with the declared fallback.", []string{"model", "version"}, nil)
	descWithheld = prometheus.NewDesc("assay_withheld_answers_total", "Answers of the model that must not be passed on, replaced by the declared fallback.", []string{"model", "version"}, nil)
	descLost     = prometheus.NewDesc("assay_log_lost_rows_total", "Rows that the prediction log had no room for or could not write.", []string{"model", "version"}, nil)
	descLatency  = prometheus.NewDesc("assay_request_duration_seconds", "Time from the first byte of a request's handling to the end of its answer.", []string{"model", "version"}, nil)
	descUnrouted = prometheus.NewDesc("assay_unrouted_requests_total", "Requests for a model or version that is not served.", nil, nil)
	descUnread   = prometheus.NewDesc("assay_unread_requests_total", "Requests that were refused before it was known which model they are for: gRPC calls whose message was not read, and what pages of other sites send.", nil, nil)
	descWaiting  = prometheus.NewDesc("assay_waiting_requests", "Requests that wait for their turn.", nil, nil)
	descBodies   = prometheus.NewDesc("assay_body_bytes", "Memory that the bodies of requests take, but for the first 32 KiB of each.", nil, nil)
	descHealthy  = prometheus.NewDesc("assay_engine_healthy", "1 while the engine of a version works, as far as the last requests tell.", []string{"model", "version"}, nil)
	descLive     = prometheus.NewDesc("assay_model_version", "1 for every version that is served; live is true for the one that answers by default.", []string{"model", "version", "live"}, nil)
)

var (
	descWorkers        = prometheus.NewDesc("assay_python_workers", "Python workers that are up.", []string{"model", "version"}, nil)
	descWorkerRequests = prometheus.NewDesc("assay_python_requests_total", "Requests to Python workers since the version was loaded.", []string{"model", "version"}, nil)
	descWorkerBatches  = prometheus.NewDesc("assay_python_batches_total", "Batches in which they went.", []string{"model", "version"}, nil)
	descWorkerRestarts = prometheus.NewDesc("assay_python_restarts_total", "Python workers that died, hung or grew too large and were started again.", []string{"model", "version"}, nil)
	descWorkerLost     = prometheus.NewDesc("assay_python_lost_requests_total", "Requests that were lost with a Python worker, or for want of one.", []string{"model", "version"}, nil)
)

var (
	descLogged      = prometheus.NewDesc("assay_log_written_rows_total", "Rows written to the prediction log.", nil, nil)
	descLogFailures = prometheus.NewDesc("assay_log_failures_total", "Writes of the prediction log that failed.", nil, nil)
)

// Describe implements prometheus.Collector.
func (l *Log) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(l, ch) }

// Collect implements prometheus.Collector.
func (l *Log) Collect(ch chan<- prometheus.Metric) {
	rows, failures, _ := l.Written()
	ch <- prometheus.MustNewConstMetric(descLogged, prometheus.CounterValue, float64(rows))
	ch <- prometheus.MustNewConstMetric(descLogFailures, prometheus.CounterValue, float64(failures))
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	count(descUnrouted, s.counted.unrouted.Load())
	count(descUnread, s.counted.unread.Load())
	ch <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(s.Waiting()))
	ch <- prometheus.MustNewConstMetric(descBodies, prometheus.GaugeValue, float64(s.BodyBytes()))
	for _, name := range s.Models() {
		versions, live := s.Versions(name)
		for _, b := range versions {
			number := strconv.Itoa(b.Number)
			ch <- prometheus.MustNewConstMetric(descLive, prometheus.GaugeValue, 1, name, number, strconv.FormatBool(b == live))
			healthy := 0.0
			if b.Healthy() {
				healthy = 1
			}
			ch <- prometheus.MustNewConstMetric(descHealthy, prometheus.GaugeValue, healthy, name, number)
			if w, ok := b.Workers(); ok {
				ch <- prometheus.MustNewConstMetric(descWorkers, prometheus.GaugeValue, float64(w.Up), name, number)
				count(descWorkerRequests, w.Requests, name, number)
				count(descWorkerBatches, w.Batches, name, number)
				count(descWorkerRestarts, w.Restarts, name, number)
				count(descWorkerLost, w.Lost, name, number)
			}
		}
	}
	s.counted.lock.RLock()
	defer s.counted.lock.RUnlock()
	for _, v := range s.counted.versions {
		for i, name := range outcomeNames {
			count(descRequests, v.requests[i].Load(), v.name, v.version, name)
			count(descRows, v.rows[i].Load(), v.name, v.version, name)
		}
		count(descOutliers, v.outliers.Load(), v.name, v.version)
		count(descUnknown, v.unknown.Load(), v.name, v.version)
		v.casts(func(what coercion, n int64) { count(descCoerced, n, v.name, v.version, what.column, what.rule) })
		count(descClipped, v.clipped.Load(), v.name, v.version)
		count(descFallback, v.fallbacks.Load(), v.name, v.version)
		count(descWithheld, v.badOutput.Load(), v.name, v.version)
		count(descLost, v.lost.Load(), v.name, v.version)
		buckets, n := map[float64]uint64{}, uint64(0)
		for i, bound := range latencyBounds {
			n += uint64(v.latency[i].Load())
			buckets[bound] = n
		}
		n += uint64(v.latency[len(latencyBounds)].Load())
		ch <- prometheus.MustNewConstHistogram(descLatency, n, float64(v.micros.Load())/1e6, buckets, v.name, v.version)
	}
}
