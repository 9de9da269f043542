package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/schema"
)

// everyType serves a model with a column of each type, and logs its calls.
func everyType(t testing.TB, o LogOptions) (*Server, *Bound, *Log) {
	t.Helper()
	if o.Clock == nil {
		o.Clock = assaytest.Clock()
	}
	o.Dir, o.Nonce = t.TempDir(), "n"
	l, err := OpenLog(o)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Clock: assaytest.Clock(), Nonce: "s", Log: l})
	in := schema.New("in")
	for i, typ := range []assay.Type{assay.TypeNumber, assay.TypeInteger, assay.TypeBoolean, assay.TypeString, assay.TypeDate, assay.TypeTime, assay.TypeTimestamp, assay.TypeJSON} {
		in.Columns = append(in.Columns, schema.Column{Name: fmt.Sprintf("c%d %s", i, typ), Type: typ, Optional: true})
	}
	classes := []string{"no", `"yes"`}
	b, err := s.Bind(Binding{Name: "m", Number: 3, Task: assay.Binary, Classes: classes, Input: in, Output: OutputSchema("out", classes, true), Engine: fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	return s, b, l
}

// fixed is an engine that is never asked.
type fixed struct{ Engine }

func (fixed) Close() error { return nil }

const everyRow = `[{"c0 number":0.1,"c1 integer":-5,"c2 boolean":true,"c3 string":"a\"\né","c4 date":"2020-02-29","c5 time":"23:59:59.5","c6 timestamp":"2026-01-02T03:04:05.25Z","c7 json":[1]},
{"c0 number":-0.0,"c1 integer":170141183460469231731687303715884105727,"c2 boolean":false,"c3 string":"","c4 date":null,"c5 time":"wrong"},
{"c0 number":1e300,"c1 integer":9007199254740993,"c2 boolean":null,"c4 date":"1969-12-31","c6 timestamp":"1969-12-31T23:59:59.999999Z"},
{}]`

func call(t testing.TB, s *Server, rows string) *Call {
	t.Helper()
	c, err := s.Begin("test", "m", "", "r\n1")
	if err != nil {
		t.Fatal(err)
	}
	c.Reader.Reset([]byte(rows), 0)
	if err := c.ReadInstances(&c.Reader); err != nil || !c.Reader.End() {
		t.Fatal(err, c.Reader.Err())
	}
	c.Found = c.Rows.Check(c.Found)
	return c
}

// TestLinesOfEveryType: what a segment gives back are the values that were read, of each type, and each in the lines of its row.
func TestLinesOfEveryType(t *testing.T) {
	s, b, l := everyType(t, LogOptions{Redact: []string{"c6 timestamp"}})
	c := call(t, s, everyRow)
	c.Rows.KeyedBy([]string{"key"})
	for row, key := range [][]byte{[]byte("k0"), nil, {}, []byte(`k"3`)} {
		c.Found = c.Rows.SetKey(row, []byte("key"), key, c.Found)
	}
	c.Scores = append(c.Scores, 0.5, math.NaN(), 1, 0)
	c.Output = Output{Labels: []int32{0, 1, 1, 0}, Proba: []float64{1, 0, 0.25, 0.75, 0, 1, 0.5, 0.5}}
	c.Fallback, c.Incident, c.Trace = true, "i-1", "0af7651916cd43dd8448eb211c80319c"
	var want []string
	for row := range 4 {
		line := map[string]any{}
		for i := range b.in.Fields() {
			f := b.in.Field(i)
			if raw, ok := c.Rows.Raw(row, i); ok { // a nested value is the text of its JSON
				line[f.Name] = string(raw)
				continue
			}
			if text := c.Rows.AppendJSON(nil, row, i); string(text) != "null" && f.Type != assay.TypeTimestamp && len(text) < 30 { // the longer one is held by no column
				line[f.Name] = json.RawMessage(text)
			}
		}
		doc, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(doc))
	}
	c.End()
	text := closedLines(t, l)
	rest := []string{
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _fallback:true _incident:i-1 _index:0 _key:k0 _micros:1e+06 _outcome:answered _request:r` + "\n" + `1 _sampled:1 _score:0.5 _status:200 _trace:0af7651916cd43dd8448eb211c80319c _version:3 prediction:no probability_"yes":0 probability_no:1]`,
		`map[_at:2026-01-02T03:04:05.000000 _coerced:c1 integer unheld _edge:test _fallback:true _incident:i-1 _index:1 _micros:1e+06 _outcome:answered _request:r` + "\n" + `1 _sampled:1 _status:200 _trace:0af7651916cd43dd8448eb211c80319c _version:3 _violations:c5 time type prediction:"yes" probability_"yes":0.75 probability_no:0.25]`,
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _fallback:true _incident:i-1 _index:2 _key: _micros:1e+06 _outcome:answered _request:r` + "\n" + `1 _sampled:1 _score:1 _status:200 _trace:0af7651916cd43dd8448eb211c80319c _version:3 prediction:"yes" probability_"yes":1 probability_no:0]`,
		`map[_at:2026-01-02T03:04:05.000000 _edge:test _fallback:true _incident:i-1 _index:3 _key:k"3 _micros:1e+06 _outcome:answered _request:r` + "\n" + `1 _sampled:1 _score:0 _status:200 _trace:0af7651916cd43dd8448eb211c80319c _version:3 prediction:no probability_"yes":0.5 probability_no:0.5]`,
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %s", len(lines), text.Bytes())
	}
	for i, line := range lines {
		var values map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &values); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var other map[string]any
		_ = json.Unmarshal([]byte(line), &other)
		for name := range values {
			if strings.HasPrefix(name, "c") {
				delete(other, name)
			} else {
				delete(values, name)
			}
		}
		if got, _ := json.Marshal(values); string(got) != want[i] {
			t.Errorf("row %d is %s, want %s", i, got, want[i])
		}
		if got := fmt.Sprint(other); got != rest[i] {
			t.Errorf("row %d is %s, want %s", i, got, rest[i])
		}
	}
}

// TestLinesOfCasts: a line says which values of its row a cast changed, and how, and which parameters the prediction had.
func TestLinesOfCasts(t *testing.T) {
	l, err := OpenLog(LogOptions{Clock: assaytest.Clock(), Dir: t.TempDir(), Nonce: "n"})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Clock: assaytest.Clock(), Nonce: "s", Log: l})
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "a b", Type: assay.TypeInteger}, {Name: "c", Type: assay.TypeNumber}}
	b, err := s.Bind(Binding{Name: "m", Number: 3, Task: assay.Regression, Input: in, Output: OutputSchema("out", nil, false), Engine: fixed{}, Coerce: "mlflow", Kinds: []string{"int32", "float32"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	c, err := s.Begin("mlflow", "m", "", "r")
	if err != nil {
		t.Fatal(err)
	}
	c.Rows.BeginCast(b.Casts())
	c.Reader.Reset([]byte(`[[3000000000, 0.5], [1, 0.5], ["7", 0.1], ["x", 1e39]]`), 0)
	if err := c.ReadInstances(&c.Reader); err != nil || !c.Reader.End() {
		t.Fatal(err, c.Reader.Err())
	}
	c.Found = c.Rows.Check(c.Rows.Cast(schema.FromFrame, c.Found))
	c.Params = append(c.Params, `{"k":"\""}`...)
	c.Outcome = Refused
	c.End()
	text := closedLines(t, l)
	var got []string
	for line := range strings.Lines(text.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err, line)
		}
		got = append(got, fmt.Sprint(v["_coerced"], " ", v["_violations"], " ", v["a b"], " ", v["c"], " ", v["_params"]))
	}
	want := []string{
		`<nil> a b type <nil> 0.5 {"k":"\""}`, // beside texts, NumPy refuses a whole number that is too large
		`<nil> <nil> 1 0.5 {"k":"\""}`,
		`a b text_to_number; c precision <nil> 7 0.10000000149011612 {"k":"\""}`,
		`c overflow a b type <nil> <nil> {"k":"\""}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// segmentBytes writes calls of every type into one segment and returns its bytes.
func segmentBytes(t testing.TB) []byte {
	s, _, l := everyType(t, LogOptions{})
	for range 3 {
		call(t, s, everyRow).End()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := Segments(LogDir(l.o.Dir, "m"))
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	b, err := os.ReadFile(open[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestLinesOfDamage cuts a segment at every byte, and changes every byte: whole records before are read, nothing wrong is passed on.
func TestLinesOfDamage(t *testing.T) {
	b := segmentBytes(t)
	var whole bytes.Buffer
	if err := decodeSegment(bytes.NewReader(b), &whole); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		var got bytes.Buffer
		if err := decodeSegment(bytes.NewReader(b[:i]), &got); err != nil || !bytes.HasPrefix(whole.Bytes(), got.Bytes()) || got.Len() == whole.Len() {
			t.Fatalf("cut at %d: %d bytes, %v", i, got.Len(), err)
		}
		got.Reset()
		changed := bytes.Clone(b)
		changed[i] ^= 0x40
		if err := decodeSegment(bytes.NewReader(changed), &got); !bytes.HasPrefix(whole.Bytes(), got.Bytes()) || err == nil && got.Len() == whole.Len() {
			t.Fatalf("byte %d changed: %d bytes, %v", i, got.Len(), err)
		} else if err != nil && assay.CodeOf(err) != assay.Rejected {
			t.Fatal(err)
		}
	}
	// Zeros at the end are what some file systems leave of bytes that never reached the disk.
	var got bytes.Buffer
	if err := decodeSegment(bytes.NewReader(append(bytes.Clone(b), make([]byte, 100)...)), &got); err != nil || got.Len() != whole.Len() {
		t.Errorf("with zeros: %d bytes, %v", got.Len(), err)
	}
	path := filepath.Join(t.TempDir(), "x.seg")
	if err := os.WriteFile(path, []byte("assaylog 2\nxxx"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Lines(path, io.Discard); err == nil || !strings.Contains(err.Error(), "x.seg is no segment of the prediction log that this version of assay can read") {
		t.Error(err)
	}
}

// FuzzRecord: no record makes the reader panic, and what it takes for one gives lines of JSON.
func FuzzRecord(f *testing.F) {
	b := segmentBytes(f)
	x, err := newRecordReader(bytes.NewReader(b))
	if err != nil {
		f.Fatal(err)
	}
	first, err := x.next()
	if err != nil {
		f.Fatal(err)
	}
	first = bytes.Clone(first)
	for {
		rec, err := x.next()
		if err != nil {
			break
		}
		f.Add(bytes.Clone(rec))
	}
	f.Add([]byte{recordLoss, 2, 2})
	f.Fuzz(func(t *testing.T, rec []byte) {
		var out bytes.Buffer
		d := lineWriter{w: &out, layouts: map[uint64]*layout{}}
		if !d.record(first) {
			t.Fatal("the layout is not read")
		}
		if len(rec) > 1<<12 || len(rec) > 0 && rec[0] == recordLayout || !d.record(rec) {
			return
		}
		if d.flush(0); out.Len() > 1<<20 {
			return
		}
		for _, line := range bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n")) {
			if len(line) > 0 && !json.Valid(line) {
				t.Fatalf("%q", line)
			}
		}
	})
}

// TestLoggingAllocatesNothing: encoding a call and handing it over reuses buffers.
func TestLoggingAllocatesNothing(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector allocates")
	}
	s, b, l := everyType(t, LogOptions{})
	defer l.Close()
	c := call(t, s, everyRow)
	plan := b.logPlan(nil)
	buf := appendCall(nil, c, plan, 1)
	if n := testing.AllocsPerRun(100, func() { buf = appendCall(buf[:0], c, plan, 1) }); n != 0 {
		t.Errorf("a call is encoded with %v allocations", n)
	}
	c.End()
}

// BenchmarkLogging encodes requests of 1 and of 100 rows of 20 columns: the time a row is that of logging it, without the write.
func BenchmarkLogging(b *testing.B) {
	for _, rows := range []int{1, 100} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			s := New(Options{Clock: assaytest.Clock(), Nonce: "s"})
			in := schema.New("in")
			for i := range 20 {
				in.Columns = append(in.Columns, schema.Column{Name: fmt.Sprintf("c%02d", i), Type: []assay.Type{assay.TypeNumber, assay.TypeNumber, assay.TypeInteger, assay.TypeString}[i%4]})
			}
			classes := []string{"no", "yes"}
			v, err := s.Bind(Binding{Name: "m", Number: 1, Classes: classes, Input: in, Output: OutputSchema("out", classes, true), Engine: fixed{}})
			if err != nil {
				b.Fatal(err)
			}
			s.Set("m", v, v)
			c, err := s.Begin("test", "m", "", "")
			if err != nil {
				b.Fatal(err)
			}
			c.Rows.Add(rows)
			for row := range rows {
				for i := range 20 {
					switch i % 4 {
					case 2:
						c.Rows.SetInt(row, i, int64(row*i))
					case 3:
						c.Rows.SetText(row, i, []byte("north"))
					default:
						c.Rows.SetFloat(row, i, float64(row*i)/7)
					}
				}
				c.Output.Labels = append(c.Output.Labels, 1)
				c.Output.Proba = append(c.Output.Proba, 0.25, 0.75)
			}
			var buf []byte
			plan := v.logPlan(nil)
			b.ReportAllocs()
			for b.Loop() {
				buf = appendCall(buf[:0], c, plan, 1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
			b.ReportMetric(float64(len(buf))/float64(rows), "bytes/row")
		})
	}
}

// closedLines ends a log that has one segment of the model m, and reads it as lines.
func closedLines(t *testing.T, l *Log) *bytes.Buffer {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := Segments(LogDir(l.o.Dir, "m"))
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	var text bytes.Buffer
	if err := Lines(open[0], &text); err != nil {
		t.Fatal(err)
	}
	return &text
}

// TestHiddenParameters: parameters that are redacted by their name are not written, the others are; _params is all of them.
func TestHiddenParameters(t *testing.T) {
	for _, c := range []struct {
		redact       []string
		params, want string
	}{
		{nil, `{"k":1,"who":"anna","l":[1]}`, `{"k":1,"who":"anna","l":[1]}`},
		{[]string{"who", "c0 number"}, `{"k":1,"who":"anna","l":[1]}`, `{"k":1,"l":[1]}`},
		{[]string{"who"}, `{"who":"anna"}`, ""},
		{[]string{"who"}, "", ""},
		{[]string{"_params"}, `{"k":1,"who":"anna","l":[1]}`, ""},
	} {
		s, b, l := everyType(t, LogOptions{Redact: c.redact})
		b.Params = []Param{{Name: "k"}, {Name: "who"}, {Name: "l"}}
		x := call(t, s, everyRow)
		x.Params = append(x.Params, c.params...)
		got := string(b.logPlan(l.redact).shown(x.Params))
		record := appendCall(nil, x, b.logPlan(l.redact), 1)
		if got != c.want || bytes.Contains(record, []byte("anna")) != strings.Contains(c.want, "anna") {
			t.Errorf("%v: %s, want %s", c.redact, got, c.want)
		}
		x.End()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var lines bytes.Buffer
		_, open, err := Segments(LogDir(l.o.Dir, "m"))
		if err != nil || len(open) != 1 {
			t.Fatal(open, err)
		}
		if err := Lines(open[0], &lines); err != nil || strings.Contains(lines.String(), "_params") != (c.want != "") {
			t.Errorf("%v: %v %s", c.redact, err, lines.String())
		}
	}
}

// TestEarlierRecords: a record of a call as earlier versions wrote it, without how the call ended, gives the same lines without that.
func TestEarlierRecords(t *testing.T) {
	s, _, l := everyType(t, LogOptions{})
	c := call(t, s, everyRow)
	c.Outcome, c.Err, c.fault, c.why = Failed, errLate, "a fault", becauseEngine
	c.End()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, open, err := Segments(LogDir(l.o.Dir, "m"))
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	f, err := os.Open(open[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := newRecordReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var now, before lineWriter
	now.layouts, before.layouts = map[uint64]*layout{}, map[uint64]*layout{}
	for {
		rec, err := r.next()
		if err != nil {
			break
		}
		if !now.record(rec) {
			t.Fatal("a record cannot be read")
		}
		if rec[0] == recordEnded {
			rest := cursor{b: rec[1:]}
			rest.uint()
			rest.text()
			rest.text()
			rec = append([]byte{recordCall}, rest.b...)
		}
		if !before.record(rec) {
			t.Fatal("a record of an earlier version cannot be read")
		}
	}
	const ended = `,"_status":503,"_reason":"engine","_fault":"a fault"`
	if text := string(now.out); strings.Count(text, ended) != 4 || strings.ReplaceAll(text, ended, "") != string(before.out) {
		t.Errorf("%s\n%s", now.out, before.out)
	}
}
