package serve

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
)

const (
	openSuffix   = ".open.seg"
	closedSuffix = ".seg"
	linesSuffix  = ".jsonl" // of segments of earlier versions, of which .open.jsonl are open
	fieldsFile   = "fields.json"
	hourLayout   = "2006-01-02T15"
	maxBatch     = 1 << 20 // bytes that are written at once
)

// paramsField is the column with the parameters of a prediction.
const paramsField = "_params"

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
		{Name: "_status", Type: assay.TypeInteger}, // HTTP's, or its like where the wire is another one
		{Name: "_reason", Type: assay.TypeString},  // why the outcome is what it is, and why a fallback was answered: one of Reasons
		{Name: "_fallback", Type: assay.TypeBoolean},
		{Name: "_violations", Type: assay.TypeString}, // "AGEP range; SEX set": what is wrong with this row
		{Name: "_coerced", Type: assay.TypeString},    // "AGEP overflow; probability_yes clipped": which values of this row were changed, and how
		{Name: paramsField, Type: assay.TypeString},   // of the prediction, a JSON object
		{Name: "_incident", Type: assay.TypeString},
		{Name: "_fault", Type: assay.TypeString}, // of the incident: what was wrong with the model, nothing of the rows
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
	pending int           // rows in buf
	counted []pendingRows // the same by version
	frames  []int         // of the calls in buf in the journal
	missing int64         // rows of which buf says that they are lost
	wrote   []pendingRows // that are in the file, by version
	told    int64         // rows of which the file says that they are lost
	dirty   bool
	fields  *fieldSet
	layouts map[uint64]bool // serials of the versions whose layout is written
	redact  map[string]bool
}

// pendingRows are rows in a batch, and who counts them when they are lost.
type pendingRows struct {
	counters *versionCounters
	rows     int
}

// A fieldSet is the columns of a model's log.
type fieldSet struct {
	all   []assay.Field
	types map[string]assay.Type
}

func (f *fieldSet) list() []assay.Field { return append([]assay.Field(nil), f.all...) }

// segment returns the open segment of a version's model, made if needed, with the version's layout in it.
func (l *Log) segment(b *Bound) (*segment, error) {
	s := l.models[b.Name]
	if s != nil && !l.o.Clock().UTC().Truncate(time.Hour).Equal(s.hour) {
		l.end(s)
		s = nil
	}
	if s == nil {
		var err error
		if s, err = l.open(b.Name); err != nil {
			return nil, err
		}
		l.models[b.Name] = s
	}
	if !s.layouts[b.serial] {
		if err := s.adopt(b.layout(s.redact)); err != nil {
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

// begun returns a segment of a model without a file, which knows the columns that the model's log has.
func (l *Log) begun(model string) (*segment, error) {
	s := &segment{model: model, dir: modelDir(l.o.Dir, model), hour: l.o.Clock().UTC().Truncate(time.Hour), redact: l.redact}
	s.begin()
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
	return s, nil
}

func (l *Log) open(model string) (*segment, error) {
	s, err := l.begun(model)
	if err != nil {
		return nil, err
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
		if !taken(s.path) {
			break
		}
		// The one before was closed between the first look and now, and would be replaced when this one is.
		_ = s.file.Close()
		if err := os.Remove(s.path); err != nil {
			return nil, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be made: %w", bare(err))
		}
	}
	// Held until the segment is closed: a segment that nobody holds was left by a process that was killed.
	if err := syscall.Flock(int(s.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "a segment of the prediction log cannot be locked: %w", err)
	}
	return s, nil
}

// begin makes the next batch one that says again which columns versions have: nothing that was said before is on the disk.
func (s *segment) begin() {
	s.layouts = map[uint64]bool{}
	s.empty()
	if s.size == 0 {
		s.buf = append(s.buf, logMagic...)
	}
}

// empty begins the next batch.
func (s *segment) empty() {
	s.buf, s.pending, s.counted, s.frames, s.missing = s.buf[:0], 0, s.counted[:0], s.frames[:0], 0
}

// taken reports whether a segment of that name was closed already.
func taken(path string) bool {
	base := strings.TrimSuffix(path, openSuffix)
	for _, suffix := range []string{closedSuffix, linesSuffix, ".parquet"} {
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

// layout is what the log writes of a version, under the names that the version has.
func (b *Bound) layout(redact map[string]bool) layout {
	l := layout{Serial: b.serial, Version: b.header[0], Classes: b.Classes}
	for i := range b.in.Fields() {
		if f := b.in.Field(i); written(f, redact) {
			l.Columns = append(l.Columns, f)
		}
	}
	for i := range b.out.Fields() {
		l.Outputs = append(l.Outputs, b.out.Field(i))
	}
	return l
}

// adopt learns the columns of a version. A column whose type is another than that of an earlier version gets a name with its type.
func (s *segment) adopt(l layout) error {
	before := len(s.fields.all)
	add := func(f assay.Field) assay.Field {
		if have, ok := s.fields.types[f.Name]; ok && have != f.Type {
			f.Name += "__" + string(f.Type)
		}
		if _, ok := s.fields.types[f.Name]; !ok {
			s.fields.types[f.Name] = f.Type
			s.fields.all = append(s.fields.all, f)
		}
		return f
	}
	for _, f := range LogFields() {
		add(f) // a log that an earlier version of Assay began has fewer
	}
	for _, of := range [][]assay.Field{l.Columns, l.Outputs} {
		for i := range of {
			of[i] = add(of[i])
		}
	}
	if err := s.saveFields(len(s.fields.all) > before); err != nil {
		return err
	}
	doc, err := json.Marshal(l)
	if err != nil {
		return assay.Errorf(assay.Internal, "the columns of the prediction log: %w", err)
	}
	from := len(s.buf)
	s.buf = seal(append(append(s.buf, 0, 0, 0, 0, 0, 0, 0, 0, recordLayout), doc...), from)
	s.layouts[l.Serial] = true
	return nil
}

// saveFields writes the columns of the log where they have changed or were never written.
func (s *segment) saveFields(changed bool) error {
	if !changed {
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

// append adds a call that was encoded.
func (s *segment) append(e *entry) {
	s.buf = append(s.buf, e.buf...)
	s.pending += e.rows
	if e.frame > 0 {
		s.frames = append(s.frames, e.frame)
	}
	if n := len(s.counted); n > 0 && s.counted[n-1].counters == e.bound.counters {
		s.counted[n-1].rows += e.rows
		return
	}
	s.counted = append(s.counted, pendingRows{e.bound.counters, e.rows})
}

// appendLoss writes that rows are missing.
func (s *segment) appendLoss(at time.Time, rows int64) {
	s.buf = recordOfLoss(s.buf, at, rows, "")
	s.missing += rows
}

// recordOfLoss says that so many rows are missing; what says of what, in the words of a Missing, "" for what never came to a segment.
func recordOfLoss(b []byte, at time.Time, rows int64, what string) []byte {
	from := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, recordLoss)
	b = binary.AppendVarint(b, at.UnixMicro())
	b = binary.AppendUvarint(b, uint64(rows))
	return seal(append(b, what...), from)
}

// write appends the batch; when it cannot be written whole, the file is cut back to where it was.
func (s *segment) write() error {
	n, err := s.file.Write(s.buf)
	if err != nil {
		if n > 0 {
			if cut := s.file.Truncate(s.size); cut != nil {
				err = errors.Join(err, cut)
			}
		}
		for _, p := range s.counted {
			p.counters.lost.Add(int64(p.rows))
		}
		s.begin()
		return assay.Errorf(assay.Unavailable, "the prediction log cannot be written: %w", bare(err))
	}
	for _, p := range s.counted {
		i := slices.IndexFunc(s.wrote, func(w pendingRows) bool { return w.counters == p.counters })
		if i < 0 {
			i, s.wrote = len(s.wrote), append(s.wrote, pendingRows{counters: p.counters})
		}
		s.wrote[i].rows += p.rows
	}
	s.told += s.missing
	s.empty()
	s.size += int64(n)
	s.dirty = true
	return nil
}

// there reports whether the file is still the one of that name: what is written into one that was removed, or whose folder was, nobody reads.
func (s *segment) there() bool {
	here, err := s.file.Stat()
	named, nameErr := os.Stat(s.path)
	return err == nil && nameErr == nil && os.SameFile(here, named)
}

// close ends the segment, brings it to the disk and returns the path of what it is called then. The writer has no more to do with it.
func (s *segment) close() (string, error) {
	if err := errors.Join(s.file.Sync(), s.file.Close()); err != nil {
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

// recover closes segments that nobody holds, and finishes those that were closed and are not Parquet yet; but not those of the processes of
// later, whose calls must be found in them.
func (l *Log) recover(later map[string]bool) error {
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
			if later[nonceOf(path)] {
				continue
			}
			if openSegment(path) {
				if path, err = adoptOrphan(path); err != nil {
					return err
				}
			}
			if path != "" {
				l.closing.Go(func() { l.finish(dir, path, fields) })
			}
		}
	}
	return nil
}

// nonceOf is that of the process that wrote a segment.
func nonceOf(path string) string {
	name := stem(path)
	if len(name) <= len(hourLayout)+1 {
		return ""
	}
	name = name[len(hourLayout)+1:]
	return name[:max(0, strings.LastIndexByte(name, '-'))]
}

// openSegment reports whether a file of that name is a segment that its writer has not closed.
func openSegment(name string) bool {
	return strings.HasSuffix(name, openSuffix) || strings.HasSuffix(name, ".open"+linesSuffix)
}

// closedPath is what an open segment is called once it is closed.
func closedPath(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ".open"+ext) + ext
}
