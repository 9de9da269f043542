package serve

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// A layout is what a segment says of a version before its first call: the names and types under which its values are read.
type layout struct {
	Serial  uint64        `json:"serial"`
	Version string        `json:"version"`
	Columns []assay.Field `json:"columns"` // those that are written, in the order of the version's
	Outputs []assay.Field `json:"outputs"`
	Classes []string      `json:"classes,omitempty"`

	names   []string // of columns, as they stand within a string of JSON
	columns []string // "name": as JSON has it
	outputs []string
	classes [][]byte
}

func (l *layout) prepare() {
	for _, f := range l.Columns {
		name := string(schema.AppendJSONString(nil, []byte(f.Name)))
		l.names = append(l.names, name[1:len(name)-1])
		l.columns = append(l.columns, ","+name+":")
	}
	for _, f := range l.Outputs {
		l.outputs = append(l.outputs, ","+string(schema.AppendJSONString(nil, []byte(f.Name)))+":")
	}
	for _, c := range l.Classes {
		l.classes = append(l.classes, schema.AppendJSONString(nil, []byte(c)))
	}
}

// Lines writes a segment that is not Parquet yet as JSON Lines, one row of a request a line (see LogFields). What was not written whole,
// at the end of a segment that is open or was when its process was killed, is left out. Segments of earlier versions are JSON Lines
// already. Errors are Rejected for a damaged segment and name the byte.
func Lines(path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), bare(err))
	}
	defer f.Close()
	out := bufio.NewWriterSize(w, 256<<10)
	if strings.HasSuffix(path, linesSuffix) {
		err = copyLines(f, out)
	} else {
		err = decodeSegment(f, out)
	}
	if err != nil {
		return assay.Errorf(assay.CodeOf(err), "%s %w", filepath.Base(path), err)
	}
	if err := out.Flush(); err != nil {
		return assay.Errorf(assay.Unavailable, "the lines of %s cannot be written: %w", filepath.Base(path), err)
	}
	return nil
}

// LostLine returns the line that says that one row of a segment is missing, because the table engine cannot read its line.
func LostLine(path string, line []byte) []byte {
	at, _ := hourOf(path)
	var have struct {
		At string `json:"_at"`
	}
	if json.Unmarshal(line, &have) == nil {
		if t, err := time.Parse("2006-01-02T15:04:05", have.At); err == nil {
			at = t
		}
	}
	return appendLost(nil, at.UnixMicro(), 1, []byte(Missing{Segment: stem(path), What: Unreadable, Bytes: int64(len(line))}.String()))
}

// appendLost appends a line that says how many rows are missing, and of what where that is known.
func appendLost(b []byte, micros int64, rows uint64, what []byte) []byte {
	b = append(appendAt(b, micros), `,"_index":-1,"_outcome":"lost","_lost":`...)
	b = strconv.AppendUint(b, min(rows, maxLost), 10)
	if len(what) > 0 {
		b = schema.AppendJSONString(append(b, `,"_violations":`...), what)
	}
	return append(b, '}', '\n')
}

// copyLines copies complete lines.
func copyLines(r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, 256<<10)
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxRecord:
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return assay.Errorf(assay.Unavailable, "cannot be read: %w", err)
		}
		if _, err := w.Write(line); err != nil {
			return assay.Errorf(assay.Unavailable, "cannot be copied: %w", err)
		}
		line = line[:0]
	}
}

// errTorn is the end of what a segment holds whole.
var errTorn = errors.New("torn")

// A recordReader reads the records of a segment.
type recordReader struct {
	r   *bufio.Reader
	buf []byte
	at  int64 // the byte after the last whole record
}

// newRecordReader reads the head of a segment; errTorn when there is none yet.
func newRecordReader(r io.Reader) (*recordReader, error) {
	x := &recordReader{r: bufio.NewReaderSize(r, 256<<10)}
	head := make([]byte, len(logMagic))
	if n, err := io.ReadFull(x.r, head); err != nil {
		if strings.HasPrefix(logMagic, string(head[:n])) {
			return nil, errTorn
		}
		return nil, assay.Errorf(assay.Rejected, "is no segment of the prediction log")
	}
	if string(head) != logMagic {
		return nil, assay.Errorf(assay.Rejected, "is no segment of the prediction log that this version of assay can read")
	}
	x.at = int64(len(head))
	return x, nil
}

// next returns the next record, which stays valid until the next call. errTorn means that the rest was not written whole.
func (x *recordReader) next() ([]byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(x.r, head[:]); err != nil {
		return nil, errTorn
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 {
		return nil, errTorn // a file system may fill with zeros what it lost when the machine stopped
	}
	if n > maxRecord {
		return nil, x.damaged()
	}
	// What is read grows with what is there, not with what a damaged length says.
	x.buf = x.buf[:0]
	for want := int(n); want > 0; {
		k := min(want, 1<<20)
		from := len(x.buf)
		x.buf = append(x.buf, make([]byte, k)...)
		if _, err := io.ReadFull(x.r, x.buf[from:]); err != nil {
			return nil, errTorn
		}
		want -= k
	}
	if crc32.Checksum(x.buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, x.damaged()
	}
	x.at += frameHead + int64(n)
	return x.buf, nil
}

func (x *recordReader) damaged() error {
	return assay.Errorf(assay.Rejected, "is damaged at byte %d", x.at)
}

// decodeSegment writes every whole record as lines.
func decodeSegment(r io.Reader, w io.Writer) error {
	x, err := newRecordReader(r)
	if errors.Is(err, errTorn) {
		return nil
	}
	if err != nil {
		return err
	}
	d := lineWriter{w: w, layouts: map[uint64]*layout{}}
	for {
		at := x.at
		rec, err := x.next()
		if errors.Is(err, errTorn) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.record(rec) {
			x.at = at
			return x.damaged()
		}
		if d.flush(0); d.err != nil {
			return assay.Errorf(assay.Unavailable, "cannot be turned into lines: %w", d.err)
		}
	}
}

// A lineWriter turns records into lines.
type lineWriter struct {
	w       io.Writer
	err     error // of w
	layouts map[uint64]*layout
	out     []byte
	cursor
}

// flush writes the lines when they are more than so many bytes.
func (d *lineWriter) flush(over int) {
	if len(d.out) <= over {
		return
	}
	if d.err == nil {
		_, d.err = d.w.Write(d.out)
	}
	d.out = d.out[:0]
}

// A cursor takes fields off a record; bad is set, and stays, when one is torn.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	s := c.b[:n]
	c.b = c.b[n:]
	return s
}

func (c *cursor) byte() byte {
	if s := c.take(1); s != nil {
		return s[0]
	}
	return 0
}

func (c *cursor) uint() uint64 {
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		n = -1
	}
	c.take(n)
	return x
}

func (c *cursor) int() int64 {
	x, n := binary.Varint(c.b)
	if n <= 0 {
		n = -1
	}
	c.take(n)
	return x
}

func (c *cursor) text() []byte { return c.take(int(min(c.uint(), maxRecord+1))) }

// floats takes n numbers, which float reads.
func (c *cursor) floats(n uint64) []byte { return c.take(int(min(n, maxRecord)) * 8) }

func float(b []byte, i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
}

// record appends the lines of one record; false when it is none.
func (d *lineWriter) record(rec []byte) bool {
	d.cursor = cursor{b: rec}
	switch d.byte() {
	case recordLayout:
		l := new(layout)
		if json.Unmarshal(d.b, l) != nil {
			return false
		}
		l.prepare()
		d.layouts[l.Serial] = l
		return true
	case recordLoss:
		at, lost := d.int(), d.uint()
		d.out = appendLost(d.out, at, lost, d.b)
	case recordCall:
		if !d.call(nil) {
			return false
		}
	case recordEnded:
		var ended []byte
		if status := d.uint(); status > 0 {
			ended = strconv.AppendUint(append(ended, `,"_status":`...), min(status, math.MaxInt64), 10)
		}
		for _, key := range []string{`,"_reason":`, `,"_fault":`} {
			if text := d.text(); len(text) > 0 {
				ended = schema.AppendJSONString(append(ended, key...), text)
			}
		}
		if !d.call(ended) {
			return false
		}
	}
	return !d.bad // a kind that is not known was written by a later version
}

// The times that a line holds: others would be written with a year that is none of four digits.
var (
	firstAt = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastAt  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() - 1
)

// maxLost is how many rows one line says are missing, so that a sum of many stays within 64 bits.
const maxLost = 1 << 40

func appendAt(b []byte, micros int64) []byte {
	b = append(b, `{"_at":"`...)
	b = time.UnixMicro(min(max(micros, firstAt), lastAt)).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000")
	return append(b, '"')
}

// call takes what stands before the serial of a version's layout off a record, and reports whether the record is of a call.
func (c *cursor) call() bool {
	switch c.byte() {
	case recordCall:
		return true
	case recordEnded:
		c.uint()
		c.text()
		c.text()
		return !c.bad
	}
	return false
}

// call appends a line for each row, with what is known of the end.
func (d *lineWriter) call(ended []byte) bool {
	l := d.layouts[d.uint()]
	if l == nil {
		return false
	}
	head := appendAt(nil, d.int())
	head = append(head, `,"_request":`...)
	head = schema.AppendJSONString(head, d.text())
	edge := d.text()
	outcome, flags := d.byte(), d.byte()
	if int(outcome) >= len(outcomeNames) {
		return false
	}
	tail := append([]byte(`,"_version":`), l.Version...)
	tail = append(tail, `,"_edge":`...)
	tail = schema.AppendJSONString(tail, edge)
	tail = append(tail, `,"_outcome":"`...)
	tail = append(tail, outcomeNames[outcome]...)
	tail = append(append(append(tail, '"'), ended...), `,"_micros":`...)
	tail = strconv.AppendUint(tail, min(d.uint(), math.MaxInt64), 10)
	if s := d.take(8); s != nil {
		tail = appendNumber(tail, `,"_sampled":`, float(s, 0))
	}
	if flags&hasFallback != 0 {
		tail = append(tail, `,"_fallback":true`...)
	}
	if flags&hasIncident != 0 {
		tail = append(tail, `,"_incident":`...)
		tail = schema.AppendJSONString(tail, d.text())
	}
	if flags&hasTrace != 0 {
		tail = append(tail, `,"_trace":`...)
		tail = schema.AppendJSONString(tail, d.text())
	}
	if flags&hasParams != 0 {
		tail = append(tail, `,"_params":`...)
		tail = schema.AppendJSONString(tail, d.text())
	}
	count := d.uint()
	if d.bad || count > maxRecordRows {
		return false
	}
	if count == 0 {
		d.out = append(append(append(d.out, head...), `,"_index":-1`...), tail...)
		d.out = append(d.out, '}', '\n')
		return true
	}
	return d.rows(l, int(count), flags, head, tail)
}

// rows appends the lines of a call that has rows.
func (d *lineWriter) rows(l *layout, rows int, flags byte, head, tail []byte) bool {
	var keys [][]byte
	if flags&hasKeys != 0 {
		for range rows {
			n := d.uint()
			var key []byte
			if n > 0 {
				key = d.take(int(min(n-1, maxRecord+1)))
			}
			if d.bad {
				return false
			}
			keys = append(keys, key)
		}
	}
	var found, coerced notes
	for _, n := range []struct {
		flag byte
		to   *notes
	}{{hasFound, &found}, {hasCoerced, &coerced}} {
		if flags&n.flag != 0 && !n.to.read(&d.cursor) {
			return false
		}
	}
	var scores []byte
	if flags&hasScores != 0 {
		scores = d.floats(d.uint())
	}
	columns := make([]schema.ColumnReader, len(l.Columns))
	for i := range columns {
		var ok bool
		if columns[i], d.b, ok = schema.ReadColumn(d.b, rows, l.Columns[i].Type); !ok {
			return false
		}
	}
	a, ok := d.answer(l, rows)
	if !ok || d.bad {
		return false
	}
	var unheld []int
	for row := range rows {
		b := append(d.out, head...)
		b = append(b, `,"_index":`...)
		b = strconv.AppendInt(b, int64(row), 10)
		if keys != nil && keys[row] != nil {
			b = append(b, `,"_key":`...)
			b = schema.AppendJSONString(b, keys[row])
		}
		b = append(b, tail...)
		b = found.append(b, `,"_violations":"`, row)
		if row < len(scores)/8 {
			b = appendNumber(b, `,"_score":`, float(scores, row))
		}
		unheld = unheld[:0]
		for i := range columns {
			mark := len(b)
			var there, no bool
			if b, there, no = columns[i].Next(append(b, l.columns[i]...)); !there {
				b = b[:mark]
			}
			if no {
				unheld = append(unheld, i)
			}
		}
		b = coerced.appendUnheld(b, l, row, unheld)
		d.out = append(a.append(b, l, row), '}', '\n')
		d.flush(1 << 20)
	}
	return true
}

// notes are names and words about rows, in the order of rows.
type notes struct {
	left cursor
	n    uint64 // that are left
	row  uint64 // of the next one
}

// read takes the notes off a record; false when they are torn.
func (x *notes) read(c *cursor) bool {
	x.n = c.uint()
	x.left = cursor{b: c.b}
	for range x.n {
		c.uint()
		c.text()
		c.text()
		if c.bad {
			return false
		}
	}
	if x.n > 0 {
		x.row = x.left.uint()
	}
	return true
}

// append writes the notes about a row, the next one, as a JSON string after key; nothing where there are none.
func (x *notes) append(b []byte, key string, row int) []byte {
	for n := 0; x.n > 0 && x.row <= uint64(row); n++ {
		if n == 0 {
			b = append(b, key...)
		} else {
			b = append(b, "; "...)
		}
		name := schema.AppendJSONString(nil, bytes.Join([][]byte{x.left.text(), x.left.text()}, []byte(" ")))
		b = append(b, name[1:len(name)-1]...)
		if x.n--; x.n > 0 {
			x.row = x.left.uint()
		}
		if x.n == 0 || x.row > uint64(row) {
			b = append(b, '"')
		}
	}
	return b
}

// ruleUnheld is what a line says of a value that it leaves out because a column of the log cannot hold it.
const ruleUnheld = "unheld"

// appendUnheld writes the notes about casts of a row, and with them which columns' values are left out.
func (x *notes) appendUnheld(b []byte, l *layout, row int, columns []int) []byte {
	const key = `,"_coerced":"`
	mark := len(b)
	b = x.append(b, key, row)
	for _, i := range columns {
		if len(b) == mark {
			b = append(b, key...)
		} else {
			b = append(b[:len(b)-1], "; "...)
		}
		b = append(append(b, l.names[i]...), " "+ruleUnheld+`"`...)
	}
	return b
}

// An answer is what a record says that the caller was told.
type answer struct {
	labels []uint64
	proba  []byte
	values []byte
}

func (d *lineWriter) answer(l *layout, rows int) (a answer, ok bool) {
	k := len(l.Classes)
	kind := d.byte()
	switch kind {
	case answerNone:
	case answerValues:
		a.values = d.floats(uint64(rows))
		return a, len(l.Outputs) == 1
	case answerLabels, answerProba:
		for range rows {
			x := d.uint()
			if d.bad || x >= uint64(k) {
				return a, false
			}
			a.labels = append(a.labels, x)
		}
		if kind == answerProba {
			a.proba = d.floats(uint64(rows) * uint64(k))
			return a, len(l.Outputs) == 1+k
		}
		return a, len(l.Outputs) >= 1
	default:
		return a, false
	}
	return a, true
}

func (a *answer) append(b []byte, l *layout, row int) []byte {
	switch {
	case a.values != nil:
		b = appendNumber(b, l.outputs[0], float(a.values, row))
	case a.labels != nil:
		b = append(append(b, l.outputs[0]...), l.classes[a.labels[row]]...)
		if a.proba != nil {
			k := len(l.Classes)
			for j := range k {
				b = appendNumber(b, l.outputs[1+j], float(a.proba, row*k+j))
			}
		}
	}
	return b
}

// appendNumber appends a number under its key, and nothing for what JSON cannot hold.
func appendNumber(b []byte, key string, x float64) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return b
	}
	return AppendNumber(append(b, key...), x)
}
