package oip_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay/internal/assaytest"
)

const headLength = "Inference-Header-Content-Length"

// floats are little-endian FP64 elements.
func floats(xs ...float64) []byte {
	var b []byte
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// strs are BYTES elements.
func strs(xs ...string) []byte {
	var b []byte
	for _, x := range xs {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(x))), x...)
	}
	return b
}

func sendBinary(t testing.TB, h http.Handler, path, doc string, tail []byte) (int, string, []byte) {
	t.Helper()
	w := send(t, h, http.MethodPost, path, append([]byte(doc), tail...), headLength, strconv.Itoa(len(doc)), "Content-Type", "application/octet-stream")
	n := w.Body.Len()
	if s := w.Header().Get(headLength); s != "" {
		n, _ = strconv.Atoi(s)
	}
	return w.Code, w.Body.String()[:n], w.Body.Bytes()[n:]
}

// TestBinary sends tensors as bytes: the answer is that of the same request in JSON, in bytes where that is asked for.
func TestBinary(t *testing.T) {
	h := handler(t)
	doc := `{"id":"r-1","inputs":[{"name":"age","shape":[2],"datatype":"INT32","parameters":{"binary_data_size":8}},{"name":"income","shape":[2],"datatype":"FP64","data":[10.5,null]},` +
		`{"name":"region","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":18}}]%s}`
	tail := append([]byte{20, 0, 0, 0, 70, 0, 0, 0}, strs("north", "south")...)
	_, want := infer(t, h, "/v2/models/m/infer", twoRows)
	status, body, rest := sendBinary(t, h, "/v2/models/m/infer", fmt.Sprintf(doc, ""), tail)
	var got reply
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || len(rest) != 0 || !cmp.Equal(got, want) {
		t.Fatalf("%d %s %v", status, body, rest)
	}
	for request, wantBytes := range map[string]int{
		`,"parameters":{"binary_data_output":true}`: 2*8 + 4*8,
		`,"parameters":{"binary_data_output":true},"outputs":[{"name":"prediction","parameters":{"binary_data":false}},{"name":"probabilities"}]`: 4 * 8,
		`,"outputs":[{"name":"prediction","parameters":{"binary_data":true}}]`:                                                                    2 * 8,
	} {
		status, body, rest := sendBinary(t, h, "/v2/models/m/infer", fmt.Sprintf(doc, request), tail)
		var got reply
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || len(rest) != wantBytes {
			t.Fatalf("%s: %d %s %v", request, status, body, rest)
		}
		for _, o := range got.Outputs {
			if o.Data != nil {
				continue
			}
			size := int(o.Parameters["binary_data_size"].(float64))
			for i := range size / 8 {
				bits := binary.LittleEndian.Uint64(rest[8*i:])
				x := math.Float64frombits(bits)
				if o.Datatype == "INT64" {
					x = float64(int64(bits))
				}
				j := map[string]int{"prediction": 0, "probabilities": 1}[o.Name]
				if x != want.Outputs[j].Data[i] {
					t.Errorf("%s: %s %d: %v, want %v", request, o.Name, i, x, want.Outputs[j].Data[i])
				}
			}
			rest = rest[size:]
		}
	}
	// Strings come back as BYTES.
	status, body, rest = sendBinary(t, h, "/v2/models/flowers/infer", `{"parameters":{"binary_data_output":true},"outputs":[{"name":"prediction"}],"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","parameters":{"binary_data_size":32}}]}`, floats(1, 2, 3, 4))
	if status != 200 || len(rest) < 5 || int(rest[0]) != len(rest)-4 {
		t.Errorf("%d %s %q", status, body, rest)
	}
	// Every float has its bits: half, brain, single.
	for typ, tail := range map[string][]byte{
		"FP16": {0x00, 0x3c, 0x00, 0x40, 0x00, 0x42, 0x00, 0x44}, // 1, 2, 3, 4
		"BF16": {0x80, 0x3f, 0x00, 0x40, 0x40, 0x40, 0x80, 0x40},
		"FP32": {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40},
		"INT8": {1, 2, 3, 4}, "UINT8": {1, 2, 3, 4}, "UINT16": {1, 0, 2, 0, 3, 0, 4, 0}, "INT16": {1, 0, 2, 0, 3, 0, 4, 0},
		"UINT32": {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0},
	} {
		_, want := infer(t, h, "/v2/models/price/infer", `{"id":"x","inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`)
		status, body, _ := sendBinary(t, h, "/v2/models/price/infer", fmt.Sprintf(`{"id":"x","inputs":[{"name":"x","shape":[1,4],"datatype":"%s","parameters":{"binary_data_size":%d}}]}`, typ, len(tail)), tail)
		var got reply
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || !cmp.Equal(got, want) {
			t.Errorf("%s: %d %s", typ, status, body)
		}
	}
}

// TestBinaryBounds sends sizes that do not add up.
func TestBinaryBounds(t *testing.T) {
	h := handler(t)
	input := func(shape, typ string, size any) string {
		return fmt.Sprintf(`{"inputs":[{"name":"x","shape":%s,"datatype":"%s","parameters":{"binary_data_size":%v}}]}`, shape, typ, size)
	}
	row := floats(1, 2, 3, 4)
	for _, c := range []struct {
		name, doc string
		tail      []byte
		says      string
	}{
		{"size beyond the body", input("[1,4]", "FP64", 40), row, "binary_data_size is 40, the body has 32 bytes left"},
		{"size below the shape", input("[1,4]", "FP64", 24), row, "has 24 bytes, its shape and FP64 want 32"},
		{"size above the shape", input("[1,4]", "FP64", 32), append(row, 0), "the body has 1 bytes after the last tensor"},
		{"no bytes", input("[1,4]", "FP64", 0), nil, "has 0 bytes, its shape and FP64 want 32"},
		{"negative", input("[1,4]", "FP64", -32), row, "binary_data_size is no size"},
		{"huge", input("[1,4]", "FP64", 9223372036854775807), row, "binary_data_size is no size"},
		{"beyond 64 bits", input("[1,4]", "FP64", "9223372036854775808"), row, "binary_data_size is no size"},
		{"a text", input("[1,4]", "FP64", `"32"`), row, "binary_data_size is no size"},
		{"a shape that is no number", input("[1.0,4]", "FP64", 32), row, `a dimension of its shape is not a whole number`},
		{"a default that is text", `{"parameters":{"binary_data_output":"true"},` + matrix[1:], row, "binary_data_output is neither true nor false"},
		{"a shape that overflows", input("[1152921504606846976,16]", "FP64", 0), nil, "more elements than a request can hold"},
		{"BYTES that end within an element", input("[1,4]", "BYTES", 12), strs("a", "bcd"), "ends within an element"},
		{"BYTES with a length beyond", input("[1,1]", "BYTES", 8), []byte{255, 255, 255, 255, 1, 2, 3, 4}, ""},
		{"BYTES with more", input("[1,4]", "BYTES", 24), strs("a", "b", "c", "d", ""), "has 4 bytes after its last element"},
		{"BOOL of 2", input("[1,4]", "BOOL", 4), []byte{0, 1, 2, 1}, "row 0: c must be a BOOL"},
		{"an infinity", input("[1,4]", "FP64", 32), floats(1, math.Inf(1), 3, 4), "row 0: b "},
		{"data as well", `{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4],"parameters":{"binary_data_size":32}}]}`, row, "has both data and binary_data_size"},
		{"two that overlap", `{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}},{"name":"b","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}]}`, floats(1), "binary_data_size is 8, the body has 0 bytes left"},
		{"bytes without a tensor", matrix, []byte{1}, "the body has 1 bytes after the last tensor"},
	} {
		status, body, _ := sendBinary(t, h, "/v2/models/flowers/infer", c.doc, c.tail)
		if status != 400 || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	for _, head := range []string{"-1", "1000000", "x", "", "0", "9223372036854775808"} {
		if w := send(t, h, http.MethodPost, "/v2/models/flowers/infer", []byte(matrix), headLength, head); w.Code != 400 {
			t.Errorf("header %q: %d %s", head, w.Code, w.Body)
		}
	}
}

// TestBinaryEqualsJSON sends random rows both ways: the answers are the same.
func TestBinaryEqualsJSON(t *testing.T) {
	h := handler(t)
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.IntRange(1, 5).Draw(r, "rows")
		xs := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 4*rows, 4*rows).Draw(r, "x")
		data, _ := json.Marshal(xs)
		status, want := infer(t, h, "/v2/models/flowers/infer", fmt.Sprintf(`{"id":"x","inputs":[{"name":"x","shape":[%d,4],"datatype":"FP64","data":%s}]}`, rows, data))
		status2, body, _ := sendBinary(t, h, "/v2/models/flowers/infer", fmt.Sprintf(`{"id":"x","inputs":[{"name":"x","shape":[%d,4],"datatype":"FP64","parameters":{"binary_data_size":%d}}]}`, rows, 32*rows), floats(xs...))
		var got reply
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || status2 != 200 || !cmp.Equal(got, want) {
			r.Fatalf("%d %d %s %s", status, status2, body, cmp.Diff(got, want))
		}
	})
}

// FuzzInfer sends any document with any bytes after it: the answer is JSON, 200 or refused, never a panic.
func FuzzInfer(f *testing.F) {
	h := handler(f)
	f.Add([]byte(twoRows), len(twoRows), "m")
	f.Add([]byte(matrix), len(matrix), "flowers")
	binaryDoc := `{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","parameters":{"binary_data_size":32}}]}`
	f.Add(append([]byte(binaryDoc), floats(1, 2, 3, 4)...), len(binaryDoc), "flowers")
	bytesDoc := `{"inputs":[{"name":"region","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":18}},{"name":"age","shape":[2,1],"datatype":"INT8","data":[[1],[2]]}]}`
	f.Add(append([]byte(bytesDoc), strs("north", "south")...), len(bytesDoc), "m")
	f.Fuzz(func(t *testing.T, body []byte, head int, model string) {
		if model != "m" && model != "flowers" {
			model = "price"
		}
		w := send(t, h, http.MethodPost, "/v2/models/"+model+"/infer", body, headLength, strconv.Itoa(head))
		doc := w.Body.Bytes()
		if s := w.Header().Get(headLength); s != "" {
			n, _ := strconv.Atoi(s)
			doc = doc[:n]
		}
		if w.Code != 200 && w.Code != 400 && w.Code != 413 || !json.Valid(doc) {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	})
}

// quiet is a ResponseWriter that allocates nothing.
type quiet struct {
	header http.Header
	status int
}

func (q *quiet) Header() http.Header         { return q.header }
func (q *quiet) Write(b []byte) (int, error) { return len(b), nil }
func (q *quiet) WriteHeader(status int)      { q.status = status }

// TestInferAllocations guards what a single row costs.
func TestInferAllocations(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector makes pools forget")
	}
	h := handler(t)
	const body = `{"id":"r","inputs":[{"name":"age","shape":[1],"datatype":"INT64","data":[20]},{"name":"income","shape":[1],"datatype":"FP64","data":[10.5]},{"name":"region","shape":[1],"datatype":"BYTES","data":["north"]}]}`
	reader := strings.NewReader(body)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/models/m/infer", reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &quiet{header: http.Header{}}
	n := testing.AllocsPerRun(200, func() {
		reader.Reset(body)
		clear(w.header)
		h.ServeHTTP(w, r)
	})
	if w.status != 0 && w.status != 200 {
		t.Fatalf("status %d", w.status)
	}
	t.Logf("%v allocations", n)
	if n > maxAllocations {
		t.Errorf("%v allocations for a single row, more than %d", n, maxAllocations)
	}
}

const maxAllocations = 16

func BenchmarkInferRow(b *testing.B) {
	h := handler(b)
	const body = `{"id":"r","inputs":[{"name":"age","shape":[1],"datatype":"INT64","data":[20]},{"name":"income","shape":[1],"datatype":"FP64","data":[10.5]},{"name":"region","shape":[1],"datatype":"BYTES","data":["north"]}]}`
	reader := strings.NewReader(body)
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/v2/models/m/infer", reader)
	if err != nil {
		b.Fatal(err)
	}
	w := &quiet{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

// BenchmarkInferRows answers 100 rows of four columns, in JSON.
func BenchmarkInferRows(b *testing.B) {
	h := handler(b)
	var xs [400]float64
	for i := range xs {
		xs[i] = float64(i*7919%1000) / 1000
	}
	data, _ := json.Marshal(xs)
	body := fmt.Sprintf(`{"id":"r","inputs":[{"name":"x","shape":[100,4],"datatype":"FP64","data":%s}]}`, data)
	reader := strings.NewReader(body)
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/v2/models/flowers/infer", reader)
	if err != nil {
		b.Fatal(err)
	}
	w := &quiet{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

// TestTwoHeadLengths: where a request says twice how much of its body is JSON, both must say the same; a proxy in front might believe the other.
func TestTwoHeadLengths(t *testing.T) {
	h := handler(t)
	doc := `{"inputs":[{"name":"age","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}},{"name":"income","shape":[1],"datatype":"FP64","data":[1]},{"name":"region","shape":[1],"datatype":"BYTES","data":["north"]}]}`
	length := strconv.Itoa(len(doc))
	for _, c := range []struct {
		lengths []string
		status  int
		want    string
	}{
		{[]string{length}, 200, `"outputs"`},
		{[]string{length, length}, 200, `"outputs"`},
		{[]string{length, "5"}, 400, headLength + " is there 2 times, and not the same each time"},
		{[]string{length, length, "0" + length}, 400, headLength + " is there 3 times, and not the same each time"},
		{[]string{length + ", " + length}, 400, headLength + " is not the length of a part of the body"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v2/models/m/infer", strings.NewReader(doc+string([]byte{20, 0, 0, 0, 0, 0, 0, 0})))
		r.Header[headLength] = c.lengths
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%q: %d %s; want %d, %s", c.lengths, w.Code, w.Body, c.status, c.want)
		}
	}
}
