package serve

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// A segment of the running hour is a file of records: logMagic, and then each with its length and its CRC-32C (four bytes each, little
// endian) before it. The first byte of a record says what it is. A record of calls holds its values by column, as they were read, so
// that a call is logged for a few nanoseconds a value; Lines turns a segment into JSON Lines.
const (
	logMagic  = logKind + "1\n"
	logKind   = "assaylog "
	frameHead = 8

	recordLayout byte = 1 // JSON of a layout: which columns the calls of a version have
	recordCall   byte = 2
	recordLoss   byte = 3 // rows that are missing
	recordEnded  byte = 4 // how a call ended, and then the rest of a record of a call, which is one of an earlier version alone

	// maxRecord and maxRecordRows bound what a reader takes for one record.
	maxRecord     = 128 << 20
	maxRecordRows = 1 << 22
)

// What a record of a call holds beside the values.
const (
	hasFallback byte = 1 << iota
	hasIncident
	hasTrace
	hasKeys
	hasFound
	hasScores
	hasCoerced
	hasParams
)

// What a call's record holds of the answer.
const (
	answerNone byte = iota
	answerValues
	answerLabels
	answerProba // labels and probabilities
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A logPlan says which columns of a version's rows are written, and which of its parameters are not. It is made once for each version.
type logPlan struct {
	columns []int
	hidden  []string
	params  bool // any are written
}

// room is about how many bytes the record of a call of numbers takes, so that a new buffer seldom grows.
func (p *logPlan) room(rows, classes int) int { return 192 + rows*(9*len(p.columns)+8*(1+classes)+4) }

func (b *Bound) logPlan(redact map[string]bool) *logPlan {
	if p := b.logged.Load(); p != nil {
		return p
	}
	p := &logPlan{params: !redact[paramsField]}
	for i := range b.Params {
		if redact[b.Params[i].Name] {
			p.hidden = append(p.hidden, b.Params[i].Name)
		}
	}
	for i := range b.in.Fields() {
		if f := b.in.Field(i); written(f, redact) {
			p.columns = append(p.columns, i)
		}
	}
	b.logged.Store(p)
	return p
}

// shown is what of the parameters of a request is written: a JSON object, nil where nothing is.
func (p *logPlan) shown(params []byte) []byte {
	if !p.params || len(p.hidden) == 0 || len(params) == 0 {
		if p.params {
			return params
		}
		return nil
	}
	var r schema.Reader
	r.Reset(params, 0)
	out := []byte{'{'}
	for more := r.Enter(); more; more = r.More() {
		name, _ := r.Key()
		value, _ := r.Skip()
		if slices.Contains(p.hidden, string(name)) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(schema.AppendJSONString(out, name), ':'), value...)
	}
	if len(out) == 1 {
		return nil
	}
	return append(out, '}')
}

// written reports whether a column of that field is in the log: nested values as the text of their JSON, bytes are not.
func written(f assay.Field, redact map[string]bool) bool {
	return !redact[f.Name] && f.Type != assay.TypeBinary && f.Type != ""
}

// An entry is a finished call on its way to the writer.
type entry struct {
	bound *Bound
	rows  int // lines
	frame int // in the journal; 0: not there
	buf   []byte
}

var entries = sync.Pool{New: func() any { return new(entry) }}

func (e *entry) release() {
	if cap(e.buf) > keptBytes {
		return
	}
	e.bound = nil
	entries.Put(e)
}

// seal writes length and checksum in front of the record that begins at from.
func seal(b []byte, from int) []byte {
	p := b[from+frameHead:]
	binary.LittleEndian.PutUint32(b[from:], uint32(len(p)))
	binary.LittleEndian.PutUint32(b[from+4:], crc32.Checksum(p, castagnoli))
	return b
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFloats(b []byte, xs []float64) []byte {
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// appendCall writes a finished call as a record. Rows that were not read are a record without rows. It does not allocate where dst has
// room.
func appendCall(dst []byte, c *Call, plan *logPlan, sample float64) []byte {
	from, rows := len(dst), c.Rows.Rows()
	b := append(dst, 0, 0, 0, 0, 0, 0, 0, 0, recordEnded)
	b = binary.AppendUvarint(b, uint64(c.status()))
	b = appendText(b, c.reason())
	b = appendText(b, c.fault)
	b = binary.AppendUvarint(b, c.bound.serial)
	b = binary.AppendVarint(b, c.At.UnixMicro())
	b = appendText(b, c.ID)
	b = appendText(b, c.Edge)
	keys := c.Rows.Keyed()
	scores := c.Scores[:min(len(c.Scores), rows)]
	changed := len(c.Rows.Coerced()) + len(c.clipped())
	params := plan.shown(c.Params)
	b = append(b, byte(c.Outcome), flag(hasFallback, c.Fallback)|flag(hasIncident, c.Incident != "")|flag(hasTrace, c.Trace != "")|
		flag(hasKeys, keys)|flag(hasFound, len(c.Found) > 0)|flag(hasScores, len(scores) > 0)|flag(hasCoerced, changed > 0)|flag(hasParams, len(params) > 0))
	b = binary.AppendUvarint(b, uint64(max(c.Took, 0)/time.Microsecond))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(sample))
	if c.Incident != "" {
		b = appendText(b, c.Incident)
	}
	if c.Trace != "" {
		b = appendText(b, c.Trace)
	}
	if len(params) > 0 {
		b = appendText(b, params)
	}
	b = binary.AppendUvarint(b, uint64(rows))
	if rows == 0 {
		return seal(b, from)
	}
	if keys {
		for row := range rows {
			key := c.Rows.Key(row, c.Reply)
			if key == nil {
				b = append(b, 0)
				continue
			}
			b = append(binary.AppendUvarint(b, uint64(len(key))+1), key...)
			if len(c.bound.Key) > 1 {
				c.Reply = key // room for the next one
			}
		}
	}
	if len(c.Found) > 0 {
		b = appendFound(b, c.Found, rows)
	}
	if changed > 0 {
		b = appendCoerced(b, c)
	}
	if len(scores) > 0 {
		b = appendFloats(binary.AppendUvarint(b, uint64(len(scores))), scores)
	}
	for _, i := range plan.columns {
		b = c.Rows.AppendColumn(b, i)
	}
	return seal(appendAnswer(b, c, rows), from)
}

func flag(bit byte, on bool) byte {
	if on {
		return bit
	}
	return 0
}

// appendFound writes what is wrong with rows, in the order of rows: how many entries, and each with its row, field and rule.
func appendFound(b []byte, found []schema.RowViolation, rows int) []byte {
	slices.SortStableFunc(found, func(a, b schema.RowViolation) int { return a.Row - b.Row })
	n := 0
	for n < len(found) && found[n].Row < rows {
		n++
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range found[:n] {
		v := &found[i]
		b = binary.AppendUvarint(b, uint64(v.Row))
		b = appendText(b, v.Field)
		b = appendText(b, v.Rule)
	}
	return b
}

// ruleClipped is what a line says of a probability of which the bound was answered.
const ruleClipped = "clipped"

// appendCoerced writes what casts did to rows and which probabilities of their answers were clipped, as appendFound writes what is wrong
// with them.
func appendCoerced(b []byte, c *Call) []byte {
	coerced, clipped, k := c.Rows.Coerced(), c.clipped(), len(c.bound.Classes)
	slices.SortStableFunc(coerced, func(a, b schema.Coercion) int { return a.Row - b.Row })
	b = binary.AppendUvarint(b, uint64(len(coerced)+len(clipped)))
	for len(coerced)+len(clipped) > 0 {
		if len(clipped) == 0 || len(coerced) > 0 && coerced[0].Row <= clipped[0]/k {
			x := coerced[0]
			b = binary.AppendUvarint(b, uint64(x.Row))
			b = appendText(b, c.Rows.Validator().Field(x.Field).Name)
			b = appendText(b, x.Rule)
			coerced = coerced[1:]
			continue
		}
		b = binary.AppendUvarint(b, uint64(clipped[0]/k))
		b = appendText(b, ProbabilityField(c.bound.Classes[clipped[0]%k]))
		b = appendText(b, ruleClipped)
		clipped = clipped[1:]
	}
	return b
}

// appendAnswer writes what the caller was told.
func appendAnswer(b []byte, c *Call, rows int) []byte {
	o, k := &c.Output, len(c.bound.Classes)
	switch {
	case c.Outcome != Answered:
	case k == 0 && len(o.Values) == rows:
		return appendFloats(append(b, answerValues), o.Values)
	case k > 0 && len(o.Labels) == rows:
		proba := len(o.Proba) == rows*k && c.bound.out.Fields() == 1+k
		b = append(b, answerLabels+flag(1, proba))
		for _, label := range o.Labels {
			b = binary.AppendUvarint(b, uint64(label))
		}
		if proba {
			b = appendFloats(b, o.Proba)
		}
		return b
	}
	return append(b, answerNone)
}
