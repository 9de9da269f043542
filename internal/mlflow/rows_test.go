package mlflow_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/serve"
)

// ended notes how many rows the log is given of each call.
type ended struct{ rows []int }

func (e *ended) Offer(c *serve.Call) bool {
	e.rows = append(e.rows, c.Rows.Rows())
	return false
}

// TestTooManyRows: what has more rows than the server takes is refused where the first that is too many begins, whatever the form, so that it
// takes no more memory than its bytes do; the log has it as one.
func TestTooManyRows(t *testing.T) {
	const size = 16 << 20
	fill := func(before, one, after string) []byte {
		return []byte(before + strings.Repeat(one, (size-len(before)-len(after)-64)/len(one)) + after)
	}
	for name, c := range map[string]struct {
		contentType string
		body        []byte
	}{
		"records":        {"application/json", fill(`{"dataframe_records":[`, `{},`, `{}]}`)},
		"instances":      {"application/json", fill(`{"instances":[`, `{},`, `{}]}`)},
		"lists":          {"application/json", fill(`{"instances":[`, `[1,1,"n"],`, `[1,1,"n"]]}`)},
		"split":          {"application/json", fill(`{"dataframe_split":{"columns":["age"],"data":[`, `[1],`, `[1]]}}`)},
		"inputs":         {"application/json", fill(`{"inputs":{"age":[`, `1,`, `1]}}`)},
		"keys":           {"application/json", fill(`{"inputs":{"id":[`, `1,`, `1]}}`)},
		"CSV":            {"text/csv", fill("age\n", "1\n", "")},
		"columns of CSV": {"text/csv", fill("age", ",a", "\n")},
		"columns":        {"application/json", fill(`{"dataframe_split":{"columns":[`, `"a",`, `"a"],"data":[]}}`)},
		"one key twice":  {"application/json", fill(`{"dataframe_records":[{`, `"id":1,`, `"id":1}]}`)},
		"other forms":    {"application/json", fill(`{`, `"a":1,`, `"a":1}`)},
	} {
		t.Run(name, func(t *testing.T) {
			var log ended
			h := scoringOf(t, &log, size)
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			if _, err := z.Write(c.body); err != nil || z.Close() != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "/invocations", &zipped)
			r.Header.Set("Content-Type", c.contentType)
			r.Header.Set("Content-Encoding", "gzip")
			w := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			h.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 6*size {
				t.Errorf("%d MB for %d MB", took>>20, size>>20)
			}
			if w.Code != http.StatusBadRequest {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if many := strings.Contains(w.Body.String(), "more than the 10000 rows that are allowed"); many && log.rows[0] != 0 || len(log.rows) != 1 || log.rows[0] > 10000 {
				t.Errorf("%.200s: rows in the log: %v", w.Body, log.rows)
			} else if !many && !strings.Contains("columns of CSV, one key twice, other forms", name) {
				t.Errorf("%.200s", w.Body)
			}
		})
	}
}

// TestCSVAsTheTablesHaveIt: a cell without anything is missing, also in a column of text, and line ends within quotes stay as they are.
func TestCSVAsTheTablesHaveIt(t *testing.T) {
	e := &echo{}
	_, h := oneColumn(t, "string", e, "")
	body := "c\r\n\"a\r\nb\"\r\n\"\"\r\n\"x\ny\"\r\n"
	if status, answer, _ := post(t, h, "/invocations", "text/csv", body); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	if got := strings.Join(e.seen, " "); got != `"a\r\nb" null "x\ny"` {
		t.Error(got)
	}
	h = scoring(t)
	if status, answer, _ := post(t, h, "/invocations", "text/csv", "age,income,region\n20,1,\n"); status != http.StatusOK {
		t.Errorf("a text that may be missing: %d %s", status, answer)
	}
}

// agesSeen notes what the log would have of the first column of each row.
type agesSeen struct{ ages []string }

func (a *agesSeen) Offer(c *serve.Call) bool {
	a.ages = nil
	for row := range c.Rows.Rows() {
		a.ages = append(a.ages, string(c.Rows.AppendJSON(nil, row, 0)))
	}
	return false
}

// TestNumbersThatAreNone: what is no number of JSON is none in the log either, not the digits that it begins with.
func TestNumbersThatAreNone(t *testing.T) {
	var log agesSeen
	h := scoringWith(t, &log)
	for _, age := range []string{"049", "0x31", "1_000", "5e", "7.", "-", "1true", "12\"a\"", "true1"} {
		status, body, _ := post(t, h, "/invocations", "application/json", `{"instances": [[1, 0, "north"], [`+age+`, 0, "north"]]}`)
		if status != http.StatusBadRequest || !strings.Contains(body, "It is not JSON") || strings.Join(log.ages, " ") != "1 null" {
			t.Errorf("%s: %d %s, the log has %v", age, status, body, log.ages)
		}
	}
}

// TestEncodings: a body that says twice how it is packed is not read as if it were packed once.
func TestEncodings(t *testing.T) {
	h := scoring(t)
	for _, encodings := range [][]string{{"gzip", "gzip"}, {"gzip, gzip"}, {"identity", "gzip"}} {
		r := httptest.NewRequest(http.MethodPost, "/invocations", strings.NewReader("x"))
		r.Header.Set("Content-Type", "application/json")
		r.Header["Content-Encoding"] = encodings
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "is none of gzip, deflate and identity") {
			t.Errorf("%v: %d %s", encodings, w.Code, w.Body)
		}
	}
}
