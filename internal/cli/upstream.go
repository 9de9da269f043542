package cli

import (
	"context"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/upstream"
)

// UpstreamConfig says which server has the model. Where it is and how long it may take are not part of what a check proves.
type UpstreamConfig struct {
	URL           string `yaml:"url" json:"-" jsonschema:"description=root of a server of the Open Inference Protocol; or the whole address of /invocations; {version} stands for the version's number"`
	Protocol      string `yaml:"protocol,omitempty" jsonschema:"description=what the server speaks,enum=oip,enum=invocations,default=oip"`
	Model         string `yaml:"model,omitempty" jsonschema:"description=name of the model there; absent: the project's"`
	Version       string `yaml:"version,omitempty" jsonschema:"description=version of the model there; {version} stands for the number here; absent: the server's default"`
	Single        string `yaml:"single_value,omitempty" jsonschema:"description=what a single value of a row is that a classifier answers,enum=label,enum=probability,default=label"`
	Label         string `yaml:"label_output,omitempty" jsonschema:"description=name of the output with the class or value; absent: it is found by its shape"`
	Probabilities string `yaml:"probabilities_output,omitempty" jsonschema:"description=name of the output with the probabilities; absent: it is found by its shape"`
	Token         string `yaml:"token,omitempty" json:"-" jsonschema:"description=where the token is that the server wants as Authorization: Bearer; env:NAME or file:PATH; absent: none is sent"`
	Timeout       string `yaml:"timeout,omitempty" json:"-" jsonschema:"description=how long the server may take for a request; such as 5s,default=30s"`
}

func (c *UpstreamConfig) check(bad *assay.Problems) {
	if c == nil {
		return
	}
	if c.URL == "" {
		bad.Add("serve.upstream.url is missing")
	}
	if kind, _, ok := strings.Cut(c.Token, ":"); c.Token != "" && (!ok || kind != "env" && kind != "file") {
		bad.Add("serve.upstream.token is not env:NAME or file:PATH")
	}
	if _, err := c.timeout(); err != nil {
		bad.Add("serve.upstream.timeout is %q: it wants a time such as 5s or 500ms", c.Timeout)
	}
}

func (c *UpstreamConfig) timeout() (time.Duration, error) {
	if c.Timeout == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(c.Timeout)
	if err == nil && d <= 0 {
		err = assay.Errorf(assay.Invalid, "not a time")
	}
	return d, err
}

// Names of engines in evidence.
const (
	ownEngine      = "assay"
	pythonEngine   = "python_function"
	upstreamEngine = "upstream"

	onnxRuntimeEngine = "onnxruntime" // with its version
)

// engineName is what answers for a model of the project, as evidence names it.
func (s *session) engineName(m assay.Model) (string, error) {
	if s.p.Serve.Upstream != nil {
		return upstreamEngine, nil
	}
	return s.evaluatedBy(m)
}

// smokeTolerance is how far a served score may be from the offline one.
func smokeTolerance(engine string) assay.Number {
	if engine == upstreamEngine || strings.HasPrefix(engine, onnxRuntimeEngine) {
		return otherCodeTolerance
	}
	return sameCodeTolerance
}

// servedBy opens what evaluates a version: its file, or the server that has it.
func (s *session) servedBy(ctx context.Context, v store.Version, m assay.Model, in *schema.Schema) (serve.Engine, error) {
	c := s.p.Serve.Upstream
	if c == nil {
		return s.evaluator(ctx, m, in)
	}
	timeout, err := c.timeout()
	if err != nil {
		return nil, err
	}
	o := upstream.Options{
		URL: c.URL, Protocol: upstream.Protocol(c.Protocol), Model: c.Model, Version: c.Version, Number: v.Number,
		Answer:  upstream.Answer{Classes: m.Classes, Positive: m.Positive, Single: c.Single, Label: c.Label, Probabilities: c.Probabilities},
		Timeout: timeout, Clock: s.Now,
	}
	if o.Token, err = s.secretAt("serve.upstream.token", c.Token); err != nil {
		return nil, err
	}
	if o.Protocol == "" {
		o.Protocol = upstream.OpenInference
	}
	if o.Model == "" {
		o.Model = s.p.Name
	}
	for _, c := range in.Columns {
		o.Fields = append(o.Fields, assay.Field{Name: c.Name, Type: c.Type})
	}
	return upstream.New(o)
}
