package stat_test

import (
	"encoding/json"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// values is the object that a case of an oracle table expects.
type values struct {
	t   *testing.T
	raw map[string]json.RawMessage
}

func fields(t *testing.T, raw json.RawMessage) values {
	t.Helper()
	v := values{t: t}
	into(t, raw, &v.raw)
	return v
}

func (v values) get(name string) json.RawMessage {
	v.t.Helper()
	raw, ok := v.raw[name]
	if !ok {
		v.t.Fatalf("the table has no %s", name)
	}
	return raw
}

func (v values) float(name string) float64 {
	v.t.Helper()
	var f assaytest.Float
	into(v.t, v.get(name), &f)
	return float64(f)
}

// floats is nil for null.
func (v values) floats(name string) []float64 {
	v.t.Helper()
	return assaytest.Floats(v.t, v.get(name))
}
