//go:build unix

package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/serve"
)

// TestCoerce serves a version that makes the casts of MLflow: its evidence says so, a cast is told, counted and logged, and a version that
// was checked before the setting stays strict.
func TestCoerce(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	edit(t, dir, "card:", "serve: {coerce: numpy}\ncard:")
	if _, errs, exit := command(m, dir, "serve", "check", "people:1"); exit != 2 || !strings.Contains(errs, `serve.coerce "numpy" is none of mlflow`) {
		t.Fatal(exit, errs)
	}
	edit(t, dir, "numpy", "mlflow")
	asText := strings.Replace(person, "72", `"72"`, 1)
	_, url := serving(t, dir, "--model", "people:1")
	if status, body := asked(t, url+"/invocations", "application/json", asText); status != 400 || !strings.Contains(body, "age must be of type integer") {
		t.Errorf("a version that was checked without casts: %d %s", status, body)
	}
	out, errs, exit := command(m, dir, "--json", "serve", "check", "people:1")
	if exit != 0 {
		t.Fatal(exit, errs, out)
	}
	var doc struct {
		Serving struct {
			Coerce string
			Smoke  []struct{ Name, Verdict string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Serving.Coerce != "mlflow" {
		t.Fatalf("%v: %s", err, out)
	}
	cast := false
	for _, s := range doc.Serving.Smoke {
		cast = cast || s.Name == "cast"
	}
	if !cast {
		t.Errorf("no smoke prediction was cast: %s", out)
	}
	if out, errs, exit := command(m, dir, "serve", "check", "people:1"); exit != 0 || !strings.Contains(out, "on /invocations the casts of MLflow are made") {
		t.Error(exit, errs, out)
	}
	server, url := serving(t, dir, "--model", "people:1")
	_, want := asked(t, url+"/invocations", "application/json", person)
	r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(asText))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != 200 || string(got) != want || r.Header.Get(serve.CoercedHeader) != "0" {
		t.Errorf("%d %s %v; want %s", r.StatusCode, got, r.Header, want)
	}
	if status, body := asked(t, url+"/v1/models/people:predict", "application/json", strings.Replace(asText, "dataframe_records", "instances", 1)); status != 400 {
		t.Errorf("another protocol: %d %s", status, body)
	}
	m2, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := io.ReadAll(m2.Body)
	m2.Body.Close()
	if line := `assay_coerced_values_total{column="age",model="people",rule="text_to_number",version="1"} 1`; !bytes.Contains(metrics, []byte(line)) {
		t.Errorf("%s is not among the metrics", line)
	}
	_ = server.Process.Signal(os.Interrupt)
	_ = server.Wait()
	out, errs, exit = command(m, dir, "log", "query", "SELECT age, _coerced, _outcome FROM log WHERE _coerced IS NOT NULL")
	if exit != 0 || !strings.Contains(out, "age text_to_number") || !strings.Contains(out, "72") {
		t.Error(exit, out, errs)
	}
}
