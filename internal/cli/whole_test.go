package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// TestWholeNumbersOfATable: whole numbers beyond 2^53 reach a model that takes int64 as they are, from a table as from a request, and the smoke
// predictions of a check have them; of a model that takes them in float32 the check says what that rounds.
func TestWholeNumbersOfATable(t *testing.T) {
	t.Parallel()
	dir, m := t.TempDir(), &stageManager{clock: assaytest.Clock()}
	const first = 1<<53 + 1
	var table strings.Builder
	table.WriteString("row,serial,y\n")
	for i := range 300 {
		fmt.Fprintf(&table, "%d,%d,%d\n", i, int64(first+2*i), (first+2*i)%1000)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("serials.csv", table.String())
	write(ProjectFile, `project: serials
data:
  uri: serials.csv
  key: row
  target: {column: y, task: regression}
schema: schema.json
split: {by: random, validation: 0.2, test: 0.3, seed: 7}
evaluate: {metrics: [root_mean_squared_error], replicates: 200, seed: 7}
`)
	oracle := filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx")
	do(t, m, dir, 0, "schema", "infer", "-o", "schema.json")
	do(t, m, dir, 0, "snapshot")
	do(t, m, dir, 0, "split")
	do(t, m, dir, 0, "register", filepath.Join(oracle, "op_serial.onnx"))
	do(t, m, dir, 0, "predict", "--model", "serials:1", "-o", "out.csv", "serials.csv")
	got := readScores(t, filepath.Join(dir, "out.csv"))
	want := make([]float64, 300)
	for i := range want {
		want[i] = float64((first + 2*i) % 1000)
	}
	if !slices.Equal(got, want) {
		t.Errorf("predicted %v", got[:5])
	}
	if out := do(t, m, dir, 0, "serve", "check", "serials:1"); !strings.Contains(out, "held_out: 61 rows answered as offline (largest relative difference 0)") || strings.Contains(out, "note:") {
		t.Error(out)
	}
	_, url := serving(t, dir, "--model", "serials:1")
	r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(fmt.Sprintf(`{"dataframe_records": [{"serial": %d}, {"serial": %d}]}`, first, first+2)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	var reply struct {
		Predictions []float64 `json:"predictions"`
	}
	if err := json.Unmarshal(body, &reply); err != nil || !slices.Equal(reply.Predictions, want[:2]) {
		t.Errorf("%d %s, want %v", r.StatusCode, body, want[:2])
	}
	do(t, m, dir, 0, "register", filepath.Join(oracle, "op_serial_float.onnx"))
	out := do(t, m, dir, 0, "serve", "check", "serials:2")
	if !strings.Contains(out, `note: the model takes "serial" in float32, which rounds whole numbers beyond 16777216, and in training they reach from 90071992547`) {
		t.Error(out)
	}
}
