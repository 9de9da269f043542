//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysOfSeveralColumns: a caller's key of three columns, of which one is the model's, finds its labels whatever protocol it came by: in the
// log, by labels of a file and by those of a request.
func TestKeysOfSeveralColumns(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	edit(t, dir, "card:", "monitor: {labels: {join: [shop, region, order]}}\ncard:")
	do(t, m, dir, 0, "serve", "check", "people:1")
	_, url := serving(t, dir, "--model", "people:1")
	values := `72, "F", "north", 18276.74, 24, 3.31`
	tensors := `{"name":"age","shape":[1],"datatype":"INT64","data":[72]},{"name":"sex","shape":[1],"datatype":"BYTES","data":["F"]},{"name":"region","shape":[1],"datatype":"BYTES","data":["north"]},` +
		`{"name":"income","shape":[1],"datatype":"FP64","data":[18276.74]},{"name":"hours","shape":[1],"datatype":"INT64","data":[24]},{"name":"tenure","shape":[1],"datatype":"FP64","data":[3.31]}`
	for path, body := range map[string]string{
		"/invocations":               strings.Replace(person, `{"age"`, `{"shop": "a", "order": 1, "age"`, 1),
		"/v1/models/people:predict":  `{"instances": [[` + values + `]], "parameters": {"shop": "a", "order": [2]}}`,
		"/v2/models/people/infer":    `{"inputs": [{"name":"order","shape":[1],"datatype":"INT64","data":[3]},` + tensors + `], "parameters": {"shop": "a"}}`,
		"/models/people/invocations": person, // without a key
	} {
		if status, answer := asked(t, url+path, "application/json", body); status != 200 {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
	}
	const keys = "SELECT replace(_key, chr(31), '/') AS k, _edge FROM log ORDER BY k NULLS LAST"
	until(t, "logged", func() bool {
		out, _, _ := command(m, dir, "--json", "log", "query", keys)
		return strings.Contains(strings.Join(strings.Fields(out), ""), `[["a/north/1","mlflow"],["a/north/2","kserve"],["a/north/3","oip"],[null,"mlflow"]]`)
	})
	table := "order,region,shop,churned\n1,north,a,yes\n2,south,a,no\n9,north,a,no\n"
	if err := os.WriteFile(filepath.Join(dir, "labels.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	do(t, m, dir, 0, "labels", "add", "labels.csv")
	if status, answer := asked(t, url+"/labels", "application/json", `{"labels":[{"key":["a","north",3],"label":"no"}]}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	// Of the orders 1, 2 and 3 the second has a label for another region.
	if out, errs, exit := command(m, dir, "labels", "status"); exit != 0 || !strings.Contains(out, "in the log: 4 predictions were answered, 2 of them (50.0 %) have a label") {
		t.Errorf("%d %s%s", exit, out, errs)
	}
}
