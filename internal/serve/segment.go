package serve

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

const (
	openSuffix   = ".open.jsonl"
	closedSuffix = ".jsonl"
	fieldsFile   = "fields.json"
	hourLayout   = "2006-01-02T15"
	maxBatch     = 1 << 20 // bytes that are written at once
)

// LogFields returns the columns that every log begins with. A row of a request is a line; a request that could not be read has one line
// with _index -1, and a line with the outcome "lost" says how many rows are missing.
func LogFields() []assay.Field {
	return []assay.Field{
		{Name: "_at", Type: assay.TypeTimestamp}, // when the request came
		{Name: "_request", Type: assay.TypeString},
		{Name: "_index", Type: assay.TypeInteger}, // the number of the row in its request, from 0
		{Name: "_key", Type: assay.TypeString},    // the caller's key of the row
		{Name: "_version", Type: assay.TypeInteger},
		{Name: "_edge", Type: assay.TypeString},
		{Name: "_outcome", Type: assay.TypeString},
		{Name: "_fallback", Type: assay.TypeBoolean},
		{Name: "_violations", Type: assay.TypeString}, // "AGEP range; SEX set": what is wrong with this row
		{Name: "_incident", Type: assay.TypeString},
		{Name: "_score", Type: assay.TypeNumber}, // how unusual the row is, 0–1
		{Name: "_micros", Type: assay.TypeInteger},
		{Name: "_trace", Type: assay.TypeString},
		{Name: "_sampled", Type: assay.TypeNumber}, // the share of answered requests that are logged
		{Name: "_lost", Type: assay.TypeInteger},   // rows that are missing, in a line of the outcome "lost"
	}
}

// A segment is the open file of one model.
type segment struct {
	model   string
	dir     string
	hour    time.Time
	file    *os.File
	path    string
	size    int64
	buf     []byte
	pending int // rows in buf
	dirty   bool
	fields  *fieldSet
	version *Bound // whose fields are in columns
	columns []string
	outputs []string
	redact  map[string]bool
}

// A fieldSet is the columns of a model's log.
type fieldSet struct {
	all   []assay.Field
	types map[string]assay.Type
}

func (f *fieldSet) list() []assay.Field { return append([]assay.Field(nil), f.all...) }

// segment returns the open segment of the call's model, made if needed.
func (l *Log) segment(c *Call) (*segment, error) {
	s := l.models[c.bound.Name]
	if s != nil && !l.o.Clock().UTC().Truncate(time.Hour).Equal(s.hour) {
		l.end(s)
		s = nil
	}
	if s == nil {
		var err error
		if s, err = l.open(c.bound.Name, c.At); err != nil {
			return nil, err
		}
		l.models[c.bound.Name] = s
	}
	if s.version != c.bound {
		if err := s.adopt(c.bound); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// modelDir is the folder of a model's log; names of models may hold what a file's cannot.
func modelDir(dir, model string) string {
	safe := strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == 0 || r == ':' {
			return '_'
		}
		return r
	}, model)
	if strings.Trim(safe, ".") == "" || safe != model {
		safe += "-" + assay.DigestOf([]byte(model)).Short()
	}
	return filepath.Join(dir, safe)
}

// LogDir returns the folder of a model's log inside the folder of all.
func LogDir(dir, model string) string { return modelDir(dir, model) }

func (l *Log) open(model string, _ time.Time) (*segment, error) {
	s := &segment{model: model, dir: modelDir(l.o.Dir, model), hour: l.o.Clock().UTC().Truncate(time.Hour), redact: l.redact}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the folder of the prediction log cannot be made: %w", bare(err))
	}
	fields, err := LogFieldsOf(s.dir)
	if assay.CodeOf(err) == assay.NotFound {
		fields, err = LogFields(), nil
	}
	if err != nil {
		return nil, err
	}
	s.fields = &fieldSet{all: fields, types: map[string]assay.Type{}}
	for _, f := range fields {
		s.fields.types[f.Name] = f.Type
	}
	for n := 0; ; n++ {
		s.path = filepath.Join(s.dir, s.hour.Format(hourLayout)+"-"+l.o.Nonce+"-"+strconv.Itoa(n)+openSuffix)
		if taken(s.path) {
			continue
		}
		s.file, err = os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be made: %w", bare(err))
		}
		break
	}
	// Held until the segment is closed: a segment that nobody holds was left by a process that was killed.
	if err := syscall.Flock(int(s.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be locked: %w", err)
	}
	return s, nil
}

// taken reports whether a segment of that name was closed already.
func taken(path string) bool {
	base := strings.TrimSuffix(path, openSuffix)
	for _, suffix := range []string{closedSuffix, ".parquet"} {
		if _, err := os.Stat(base + suffix); err == nil {
			return true
		}
	}
	return false
}

// bare takes the path off an error of the file system.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// adopt learns the columns of a version. A column whose type is another than that of an earlier version gets a name with its type.
func (s *segment) adopt(b *Bound) error {
	before := len(s.fields.all)
	add := func(name string, t assay.Type) string {
		if have, ok := s.fields.types[name]; ok && have != t {
			name += "__" + string(t)
		}
		if _, ok := s.fields.types[name]; !ok {
			s.fields.types[name] = t
			s.fields.all = append(s.fields.all, assay.Field{Name: name, Type: t})
		}
		return string(schema.AppendJSONString(nil, []byte(name))) + ":"
	}
	s.columns, s.outputs = s.columns[:0], s.outputs[:0]
	for i := range b.in.Fields() {
		f := b.in.Field(i)
		switch {
		case s.redact[f.Name], f.Type == assay.TypeBinary, f.Type == assay.TypeJSON, f.Type == "":
			s.columns = append(s.columns, "") // not written
		default:
			s.columns = append(s.columns, add(f.Name, f.Type))
		}
	}
	for i := range b.out.Fields() {
		f := b.out.Field(i)
		s.outputs = append(s.outputs, add(f.Name, f.Type))
	}
	s.version = b
	if len(s.fields.all) == before {
		if _, err := os.Stat(filepath.Join(s.dir, fieldsFile)); err == nil {
			return nil
		}
	}
	doc, err := json.Marshal(s.fields.all)
	if err != nil {
		return assay.Errorf(assay.Internal, "the columns of the prediction log: %w", err)
	}
	next := filepath.Join(s.dir, fieldsFile+".next")
	if err := os.WriteFile(next, doc, 0o600); err != nil {
		return assay.Errorf(assay.Unavailable, "the columns of the prediction log cannot be written: %w", bare(err))
	}
	if err := os.Rename(next, filepath.Join(s.dir, fieldsFile)); err != nil {
		return assay.Errorf(assay.Unavailable, "the columns of the prediction log cannot be written: %w", bare(err))
	}
	return nil
}

// append encodes a call, a line a row.
func (s *segment) append(c *Call, sample float64) {
	if sample == 0 {
		sample = 1
	}
	rows := c.Rows.Rows()
	if rows == 0 {
		s.line(c, -1, sample)
		s.buf = append(s.buf, '}', '\n')
		s.pending++
		return
	}
	found := c.Found
	slices.SortStableFunc(found, func(a, b schema.RowViolation) int { return a.Row - b.Row })
	k := len(c.bound.Classes)
	for row := range rows {
		s.line(c, row, sample)
		found = s.violations(found, row)
		if row < len(c.Scores) {
			s.number(`,"_score":`, c.Scores[row])
		}
		for i, key := range s.columns {
			if key != "" && !c.Rows.Missing(row, i) {
				s.buf = append(append(s.buf, ','), key...)
				s.buf = c.Rows.AppendJSON(s.buf, row, i)
			}
		}
		switch {
		case c.Outcome != Answered:
		case k == 0 && row < len(c.Output.Values):
			s.number(","+s.outputs[0], c.Output.Values[row])
		case row < len(c.Output.Labels):
			s.buf = append(append(s.buf, ','), s.outputs[0]...)
			s.buf = schema.AppendJSONString(s.buf, c.bound.classBytes[c.Output.Labels[row]])
			for j := 1; j < len(s.outputs) && (row+1)*k <= len(c.Output.Proba); j++ {
				s.buf = append(append(s.buf, ','), s.outputs[j]...)
				s.buf = strconv.AppendFloat(s.buf, c.Output.Proba[row*k+j-1], 'g', -1, 64)
			}
		}
		s.buf = append(s.buf, '}', '\n')
		s.pending++
	}
}

// line begins a line with what is known of the call.
func (s *segment) line(c *Call, row int, sample float64) {
	b := append(s.buf, `{"_at":"`...)
	b = c.At.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000")
	b = append(b, `","_request":`...)
	b = schema.AppendJSONString(b, []byte(c.ID))
	b = append(b, `,"_index":`...)
	b = strconv.AppendInt(b, int64(row), 10)
	if row >= 0 && row < len(c.Keys) && c.Keys[row] != nil {
		b = append(b, `,"_key":`...)
		b = schema.AppendJSONString(b, c.Keys[row])
	}
	b = append(b, `,"_version":`...)
	b = append(b, c.bound.header[0]...)
	b = append(b, `,"_edge":"`...)
	b = append(b, c.Edge...)
	b = append(b, `","_outcome":"`...)
	b = append(b, c.Outcome.String()...)
	b = append(b, `","_micros":`...)
	b = strconv.AppendInt(b, int64(c.Took/time.Microsecond), 10)
	b = append(b, `,"_sampled":`...)
	b = strconv.AppendFloat(b, sample, 'g', -1, 64)
	if c.Fallback {
		b = append(b, `,"_fallback":true`...)
	}
	if c.Incident != "" {
		b = append(b, `,"_incident":`...)
		b = schema.AppendJSONString(b, []byte(c.Incident))
	}
	if c.Trace != "" {
		b = append(b, `,"_trace":"`...)
		b = append(b, c.Trace...)
		b = append(b, '"')
	}
	s.buf = b
}

// violations writes those of a row, which found begins with, and returns the rest.
func (s *segment) violations(found []schema.RowViolation, row int) []schema.RowViolation {
	for n := 0; len(found) > 0 && found[0].Row <= row; n++ {
		v := &found[0]
		found = found[1:]
		if n == 0 {
			s.buf = append(s.buf, `,"_violations":"`...)
		} else {
			s.buf = append(s.buf, "; "...)
		}
		name := schema.AppendJSONString(nil, []byte(v.Field))
		s.buf = append(s.buf, name[1:len(name)-1]...)
		s.buf = append(append(s.buf, ' '), v.Rule...)
		if len(found) == 0 || found[0].Row > row {
			s.buf = append(s.buf, '"')
		}
	}
	return found
}

func (s *segment) number(key string, x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	s.buf = strconv.AppendFloat(append(s.buf, key...), x, 'g', -1, 64)
}

// appendLoss writes that rows are missing.
func (s *segment) appendLoss(at time.Time, rows int64) {
	b := append(s.buf, `{"_at":"`...)
	b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000")
	b = append(b, `","_index":-1,"_outcome":"lost","_lost":`...)
	b = strconv.AppendInt(b, rows, 10)
	s.buf = append(b, '}', '\n')
	s.pending++
}

// write appends the batch; when it cannot be written whole, the file is cut back to where it was.
func (s *segment) write() error {
	n, err := s.file.Write(s.buf)
	s.buf, s.pending = s.buf[:0], 0
	if err != nil {
		if n > 0 {
			if cut := s.file.Truncate(s.size); cut != nil {
				err = errors.Join(err, cut)
			}
		}
		return assay.Errorf(assay.Unavailable, "the prediction log cannot be written: %w", bare(err))
	}
	s.size += int64(n)
	s.dirty = true
	return nil
}

func (s *segment) sync() error {
	if !s.dirty {
		return nil
	}
	s.dirty = false
	if err := s.file.Sync(); err != nil {
		return assay.Errorf(assay.Unavailable, "the prediction log cannot be brought to the disk: %w", bare(err))
	}
	return nil
}

// close ends the segment and returns the path of what it is called then; an empty one is removed.
func (s *segment) close() (string, error) {
	err := errors.Join(s.sync(), s.file.Close())
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be closed: %w", bare(err))
	}
	closed := strings.TrimSuffix(s.path, openSuffix) + closedSuffix
	if err := os.Rename(s.path, closed); err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be closed: %w", bare(err))
	}
	return closed, nil
}

// hourOf reads the hour from a segment's name.
func hourOf(path string) (time.Time, bool) {
	name := filepath.Base(path)
	if len(name) < len(hourLayout) {
		return time.Time{}, false
	}
	t, err := time.Parse(hourLayout, name[:len(hourLayout)])
	return t, err == nil
}

// recover closes segments that nobody holds, and finishes those that were closed and are not Parquet yet.
func (l *Log) recover() error {
	models, err := os.ReadDir(l.o.Dir)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the prediction log cannot be listed: %w", bare(err))
	}
	for _, m := range models {
		if !m.IsDir() {
			continue
		}
		dir := filepath.Join(l.o.Dir, m.Name())
		fields, err := LogFieldsOf(dir)
		if assay.CodeOf(err) == assay.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		_, open, err := Segments(dir)
		if err != nil {
			return err
		}
		for _, path := range open {
			if strings.HasSuffix(path, openSuffix) {
				if path, err = adoptOrphan(path); err != nil {
					return err
				}
			}
			if path != "" {
				l.finish(dir, path, fields, l.o.Clock())
			}
		}
	}
	return nil
}

// adoptOrphan closes a segment unless its writer lives, and returns its new path. A torn last line was not acknowledged and is cut off.
func adoptOrphan(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be opened: %w", bare(err))
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", nil // somebody writes it
	}
	st, err := f.Stat()
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be read: %w", bare(err))
	}
	end := st.Size()
	for one := make([]byte, 1); end > 0; end-- {
		if _, err := f.ReadAt(one, end-1); err != nil {
			return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be read: %w", bare(err))
		}
		if one[0] == '\n' {
			break
		}
	}
	if err := f.Truncate(end); err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be cut: %w", bare(err))
	}
	closed := strings.TrimSuffix(path, openSuffix) + closedSuffix
	if err := os.Rename(path, closed); err != nil {
		return "", assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be closed: %w", bare(err))
	}
	return closed, nil
}
