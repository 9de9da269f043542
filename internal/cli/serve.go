package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/kserve"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// ServeConfig says how a model answers.
type ServeConfig struct {
	OnInvalid   string          `yaml:"on_invalid,omitempty" jsonschema:"description=what becomes of a request whose rows do not fit the input schema,enum=reject,enum=fallback,default=reject"`
	OnOutlier   string          `yaml:"on_out_of_distribution,omitempty" jsonschema:"description=what becomes of a request with rows unlike those of training,enum=flag,enum=reject,enum=fallback,default=flag"`
	Outliers    float64         `yaml:"outlier_share,omitempty" jsonschema:"description=share of ordinary rows that may count as out of distribution,default=0.001,exclusiveMinimum=0,exclusiveMaximum=1"`
	Fallback    *FallbackConfig `yaml:"fallback,omitempty" jsonschema:"description=what is answered where the model must not or cannot: a constant; or a rule where it has a value"`
	Coerce      string          `yaml:"coerce,omitempty" json:",omitempty" jsonschema:"description=mlflow: /invocations makes the casts of MLflow's scoring server and counts each value that they change; absent: a value that does not fit is refused,enum=mlflow"`
	Unknown     string          `yaml:"unknown_columns,omitempty" jsonschema:"description=what becomes of a column that the input schema does not have,enum=ignore,enum=reject,default=ignore"`
	Python      *PythonConfig   `yaml:"python,omitempty" json:"python,omitempty" jsonschema:"description=models of MLflow that only Python can load"`
	Log         LogConfig       `yaml:"log,omitempty" jsonschema:"description=the log of predictions"`
	ONNXRuntime string          `yaml:"onnxruntime,omitempty" json:"-" jsonschema:"description=shared library of ONNX Runtime; such as libonnxruntime.so: it evaluates ONNX models in place of Assay wherever a model is evaluated; absent: Assay does"`
	Upstream    *UpstreamConfig `yaml:"upstream,omitempty" json:",omitempty" jsonschema:"description=another server that has the model: it is asked in place of the model's file, with all that Assay checks before and behind it"`
	Keep        int             `yaml:"keep_versions,omitempty" json:"-" jsonschema:"description=how many versions that held the stage before still answer requests that name them,minimum=0,maximum=16"`
	Listen      string          `yaml:"listen,omitempty" jsonschema:"description=address of the server,default=127.0.0.1:8400"`
	GRPC        string          `yaml:"grpc_listen,omitempty" json:"-" jsonschema:"description=address of the Open Inference Protocol over gRPC; none: it is not answered; absent: the port after that of listen"`
	Hosts       []string        `yaml:"hosts,omitempty" json:"-" jsonschema:"description=names under which browsers reach the server beside those of this machine; such as that of a proxy in front of it"`
}

// LogConfig says what of the predictions is kept.
type LogConfig struct {
	Off       bool     `yaml:"off,omitempty" jsonschema:"description=log nothing; then nothing can be monitored"`
	Sample    float64  `yaml:"sample,omitempty" jsonschema:"description=share of the answered requests that are logged; what went wrong always is,default=1,exclusiveMinimum=0,maximum=1"`
	Redact    []string `yaml:"redact,omitempty" jsonschema:"description=input columns and parameters that are not written; _params is all parameters"`
	Keep      string   `yaml:"keep,omitempty" jsonschema:"description=how long closed hours are kept; such as 90d; absent: for ever"`
	KeepBytes string   `yaml:"keep_bytes,omitempty" jsonschema:"description=how much is kept of each model; such as 10GiB; absent: all"`
}

func (c *ServeConfig) defaults() {
	for _, d := range []struct {
		to    *string
		value string
	}{{&c.OnInvalid, "reject"}, {&c.OnOutlier, "flag"}, {&c.Unknown, "ignore"}, {&c.Listen, "127.0.0.1:8400"}} {
		if *d.to == "" {
			*d.to = d.value
		}
	}
	if c.Outliers == 0 {
		c.Outliers = serve.DefaultOutlierShare
	}
}

// maxKept is how many versions that held a stage before may stay in service: each holds a model in memory.
const maxKept = 16

func (c *ServeConfig) check(bad *assay.Problems) {
	if _, err := c.Python.limits(); err != nil {
		bad.Add("%v", err)
	}
	c.Upstream.check(bad)
	hostNames(c.Hosts).check(bad)
}

func (a *app) serveCommand() *cobra.Command {
	var listen, grpcListen, stage string
	var models []string
	var drain time.Duration
	keep := -1
	c := &cobra.Command{
		Use: "serve", Short: "Answer predictions over HTTP and gRPC, with what stands before and behind the model checked in every request",
		Long: `Answer predictions of the versions in production: MLflow's /invocations, /ping and /health, for the default model and under
/models/NAME; the Open Inference Protocol under /v2, and over gRPC on the next port; KServe's V1 under /v1. A version must have passed
assay serve check. When another version is promoted, or the last one is rolled back, the running server follows within a second and
loses no request.

While it runs the windows of its log are held against the plans of its versions as they end, and alerts are brought up to date and sent, as
assay monitor run and assay alert send do.`,
		Args: cobra.NoArgs,
		RunE: a.with("serve", func(ctx context.Context, s *session, _ []string) error {
			if drain < 0 {
				return assay.Errorf(assay.Invalid, "--drain %s is negative", drain).Try("assay serve --drain 10s")
			}
			st, err := stageFlag("stage", stage)
			if err != nil {
				return err
			}
			if listen == "" {
				listen = s.p.Serve.Listen
			}
			if grpcListen == "" {
				grpcListen = s.p.Serve.GRPC
			}
			if keep < 0 {
				keep = s.p.Serve.Keep
			}
			if keep > maxKept {
				return assay.Errorf(assay.Invalid, "--keep %d is too many: at most %d versions stay", keep, maxKept)
			}
			return s.serve(ctx, listen, grpcListen, st, models, keep, drain)
		}),
	}
	c.Flags().StringVar(&listen, "listen", "", "`address` to listen on, on this machine")
	c.Flags().StringVar(&grpcListen, "grpc-listen", "", "`address` for gRPC, on this machine, or none; default: the port after that of --listen")
	c.Flags().StringVar(&stage, "stage", "production", "serve the versions in this `stage`: staging or production")
	c.Flags().StringSliceVar(&models, "model", nil, "serve this `version` (NAME:NUMBER), whatever stage it has; may be repeated: of several versions of a model the first answers requests that name none")
	c.Flags().IntVar(&keep, "keep", -1, "how many versions that held the stage before still answer who names them, a `number`; below 0: as serve.keep_versions says")
	c.Flags().DurationVar(&drain, "drain", 0, "after a signal to end, answer for this `time` while /readyz says 503")
	check := &cobra.Command{
		Use: "check [VERSION]", Short: "Bind a version to its input and output schemas, and send smoke predictions through the whole path",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("serve check", func(ctx context.Context, s *session, args []string) error {
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			r, p, err := s.serveCheck(ctx, v)
			if err != nil {
				return err
			}
			if err := s.print("assay.serving/1", map[string]any{"evidence": r.ID, "serving": p}, func(w io.Writer) { printServing(w, v, r, p) }); err != nil {
				return err
			}
			return answer(p.Verdict)
		}),
	}
	c.AddCommand(check, a.canaryCommand(), a.shadowCommand())
	return c
}

func printServing(w io.Writer, v store.Version, r assay.Record, p assay.Serving) {
	fmt.Fprintf(w, "%s %s: input schema %s (%d columns, %d constraints), output schema %s\n", p.Verdict.Glyph(), versionName(v), p.Input.Schema.Short(), p.Input.Columns, p.Input.Constraints, p.Output.Schema.Short())
	if p.Reference != "" {
		fmt.Fprintf(w, "  a row that at most %.3g %% of the held-out rows are as unusual as is out of distribution: %s\n", 100*float64(p.Outliers), map[string]string{
			"flag": "it is answered and flagged", "reject": "its request is refused", "fallback": "its request gets the fallback",
		}[p.OnOutlier])
	}
	if p.Threshold != 0 {
		fmt.Fprintf(w, "  a row is of the positive class from a probability of %v on, as it was evaluated\n", float64(p.Threshold))
	}
	if p.Coerce != "" {
		fmt.Fprintln(w, "  on /invocations the casts of MLflow are made: a value that does not fit is changed, counted and told, and not refused")
	}
	for _, text := range p.Notes {
		fmt.Fprintf(w, "  note: %s\n", text)
	}
	for _, x := range p.Smoke {
		fmt.Fprintf(w, "  %s %s: %s", x.Verdict.Glyph(), x.Name, assay.FormatCount(x.Rows)+" rows")
		switch {
		case x.Message != "":
			fmt.Fprintf(w, " %s", one(x.Message))
		case x.Expect == "refusal":
			fmt.Fprint(w, " refused, as it must be")
		default:
			fmt.Fprintf(w, " answered as offline (largest relative difference %.1g)", float64(x.Difference))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "evidence %s\n", r.ID.Short())
}

// Limits of a connection, so that a slow client holds nothing for long.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	writeTimeout  = 90 * time.Second
	idleTimeout   = 120 * time.Second
	maxHeader     = 64 << 10
	followEvery   = 200 * time.Millisecond
)

// localAddress refuses an address that others than this machine could reach.
func localAddress(listen, flag string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return assay.Errorf(assay.Invalid, "%q is not an address: it wants HOST:PORT", listen).Try("assay serve --%s 127.0.0.1:8400", flag)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return assay.Errorf(assay.Refused, "%s is not an address of this machine alone, and nobody who asks is known there", listen).Try("assay serve --%s 127.0.0.1:8400, behind a proxy that authenticates", flag)
	}
	return nil
}

// nextPort is the default address for gRPC: the port after that of HTTP, any port beside any port.
func nextPort(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 1<<16-1 {
		return net.JoinHostPort(host, strconv.Itoa(n+1))
	}
	return net.JoinHostPort(host, "0")
}

func (s *session) serve(ctx context.Context, listen, grpcListen string, stage assay.Stage, refs []string, keep int, drain time.Duration) error {
	if err := localAddress(listen, "listen"); err != nil {
		return err
	}
	if grpcListen == "" {
		grpcListen = nextPort(listen)
	}
	if grpcListen != "none" {
		if err := localAddress(grpcListen, "grpc-listen"); err != nil {
			return err
		}
	}
	nonce := strconv.FormatInt(s.Now().UnixNano(), 36)
	log, err := s.openLog(nonce)
	if err != nil {
		return err
	}
	incidents := &incidentVoice{}
	o := serve.Options{Clock: s.Now, Nonce: nonce, OnIncident: incidents.take}
	if log != nil {
		o.Log = log
		defer log.Close()
	}
	server := serve.New(o)
	f := &follower{s: s, server: server, stage: stage, refs: refs, keep: keep, served: map[string]*served{}, off: map[string]bool{}}
	if err := f.follow(ctx); err != nil {
		return err
	}
	if len(server.Models()) == 0 {
		return assay.Errorf(assay.NotFound, "no version is in %s", stage).Try("assay promote --to %s, or assay serve --model NAME:NUMBER", stage)
	}
	ln, err := listenWithin(listen)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "%s cannot be listened on: %w", listen, err)
	}
	labels := &labelDesk{s: s, server: server, nonce: nonce, logs: map[string]*monitor.LabelLog{}}
	defer labels.close()
	inference := &oip.Inference{Server: server, Version: Version, Repository: f}
	events := &collect.Events{Recorder: &collect.Recorder{Server: server, Edge: "cloudevents"}, Clock: s.Now}
	hs := &http.Server{
		Handler: s.handler(server, inference, log, labels, events), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ConnContext: onConnection,
	}
	done := make(chan error, 2)
	stopGRPC := func(context.Context) {}
	where := "http://" + ln.Addr().String()
	if grpcListen != "none" {
		gl, err := listenWithin(grpcListen)
		if err != nil {
			_ = ln.Close()
			return assay.Errorf(assay.Unavailable, "%s cannot be listened on: %w", grpcListen, err).Try("assay serve --grpc-listen none, where gRPC is not needed")
		}
		g := inference.GRPC()
		go func() { done <- g.Serve(gl) }()
		where += " and grpc://" + gl.Addr().String()
		stopGRPC = func(ctx context.Context) {
			ended := context.AfterFunc(ctx, g.Stop) // what has not ended by then is cut off
			defer ended()
			g.GracefulStop()
		}
	}
	go func() { done <- hs.Serve(framed{ln}) }()
	server.SetReady(true)
	for _, name := range server.Models() {
		s.say("serving %s on %s", f.served[name], where)
	}
	g := sparingly(s.Env)
	defer g.usual()
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		(&watcher{app: s.app, served: f.versions, live: f.live, say: f.say, looks: map[assay.Digest]*looked{}}).run(watching)
	}()
	defer func() { stopWatching(); <-watched }()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var voice logVoice
	for {
		select {
		case err := <-done:
			return assay.Errorf(assay.Unavailable, "the server stopped: %w", err)
		case <-tick.C:
			g.adjust()
			events.Expire(s.Now())
			for _, line := range incidents.lines(s.Now()) {
				f.say("%s", line)
			}
			if log != nil {
				if text := voice.look(s.Now(), log.Written, server.Tallies); text != "" {
					f.say("%s", text)
				}
			}
			if err := f.follow(ctx); err != nil {
				f.say("the versions that serve stay as they are: %v", err)
			}
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain+serve.DrainTimeout)
			defer cancel()
			server.SetReady(false)
			select { // balancers learn from /readyz that it takes no more traffic, while it still answers
			case <-time.After(drain):
			case <-done:
			}
			err := hs.Shutdown(stop)
			stopGRPC(stop)
			events.Close()
			err = errors.Join(err, server.Close(stop), f.close(ctx))
			for _, line := range incidents.lines(s.Now()) {
				f.say("%s", line)
			}
			if log != nil {
				err = errors.Join(err, log.Close())
			}
			return errors.Join(err, ctx.Err())
		}
	}
}

// handler is every path that the server answers.
func (s *session) handler(server *serve.Server, inference *oip.Inference, log *serve.Log, labels *labelDesk, events *collect.Events) http.Handler {
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: server, Version: Version}).Routes(mux)
	inference.Routes(mux)
	events.Routes(mux)
	(&kserve.V1{Server: server}).Routes(mux)
	reg := prometheus.NewRegistry()
	reg.MustRegister(server, &alertGauges{s: s})
	reg.MustRegister(events)
	if log != nil {
		reg.MustRegister(log)
	}
	mux.HandleFunc("POST /labels", labels.take)
	mux.HandleFunc("POST /models/{name}/labels", labels.take)
	mux.HandleFunc("GET /models/{name}/split", splitHandler(server))
	hosts := hostNames(s.p.Serve.Hosts)
	(&pages{s: s, server: server, log: log, hosts: hosts}).routes(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !server.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return oneFraming(hosts.guard(mux, server.TurnAway))
}

// fromElsewhere refuses what a page of another site makes a browser send, but to read: the browser says so in Sec-Fetch-Site or Origin. Clients
// that are no browsers send neither, and are let through. refused is called for each.
func fromElsewhere(h http.Handler, refused func()) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refused()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":"a page of another site may not ask this server for anything"}`+"\n")
	}))
	return p.Handler(h)
}
