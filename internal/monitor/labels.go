package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/table"
)

// What becomes of two labels of one prediction that disagree.
const (
	ConflictFirst  = "first"  // the one that came first counts
	ConflictLast   = "last"   // the one that came last counts
	ConflictRefuse = "refuse" // neither counts
)

// JoinRequest joins labels by the id of the request and the number of the row in it, from 0.
var JoinRequest = []string{"request_id", "row"}

// Columns of the log of labels.
const (
	labelCame    = "_came"    // when the label came, UTC
	labelKey     = "_key"     // the key of the prediction as text; several columns are separated by schema.KeySeparator
	labelRequest = "_request" // or the request
	labelIndex   = "_index"   // and the row in it
	labelValue   = "_label"   // as text
)

// LabelFields are the columns of the log of labels.
func LabelFields() []assay.Field {
	return []assay.Field{
		{Name: labelCame, Type: assay.TypeTimestamp},
		{Name: labelKey, Type: assay.TypeString},
		{Name: labelRequest, Type: assay.TypeString},
		{Name: labelIndex, Type: assay.TypeInteger},
		{Name: labelValue, Type: assay.TypeString},
	}
}

// A Label is one label that came for one prediction: of a key, or of a row of a request.
type Label struct {
	Key     string
	Request string
	Index   int64
	Value   string // a class, or a number
	Came    time.Time
}

// Judges reports whether a label says anything of answers of these classes; of a regression, which has none, whether it is a number.
func Judges(classes []string, label string) bool {
	if len(classes) > 0 {
		return slices.Contains(classes, label)
	}
	x, err := strconv.ParseFloat(label, 64)
	return err == nil && x-x == 0
}

// maxLabelSegment is the size at which a file of labels is followed by the next.
const maxLabelSegment = 64 << 20

// A LabelLog takes labels for the predictions of one model, one process at a time into a file of its own: JSON Lines that are on the disk
// before Append returns. Labels that come as a table are a Parquet file each, named by its content, so that the same table is there
// once however often it is added. Nothing is ever changed or removed: which label counts is decided when they are read. Methods may be
// called by several goroutines.
type LabelLog struct {
	dir, nonce string
	mu         sync.Mutex
	file       *os.File
	size       int64
	number     int
}

// OpenLabelLog opens the labels of a model; the folder is made with the first of them. nonce tells the files of this process from those of others.
func OpenLabelLog(dir, nonce string) *LabelLog { return &LabelLog{dir: dir, nonce: nonce} }

// Append writes labels and brings them to the disk. Where it fails, none of them counts, unless the disk kept what it said it had not.
func (l *LabelLog) Append(labels []Label) error {
	var b []byte
	for _, x := range labels {
		line := map[string]any{labelCame: x.Came.UTC().Format("2006-01-02T15:04:05.000000"), labelValue: x.Value}
		if x.Request != "" {
			line[labelRequest], line[labelIndex] = x.Request, x.Index
		} else {
			line[labelKey] = x.Key
		}
		doc, err := json.Marshal(line)
		if err != nil {
			return assay.Errorf(assay.Internal, "a label cannot be written: %w", err)
		}
		b = append(append(b, doc...), '\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(); err != nil {
		return assay.Errorf(assay.Unavailable, "the log of labels cannot be made: %w", bareError(err))
	}
	_, err := l.file.Write(b)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil { // a torn line must not have another one behind it: the next labels go into a new file
		err = errors.Join(err, l.file.Truncate(l.size), l.file.Close())
		l.file = nil
		return assay.Errorf(assay.Unavailable, "the labels cannot be brought to the disk: %w", bareError(err))
	}
	if l.size += int64(len(b)); l.size >= maxLabelSegment {
		err = l.file.Close()
		l.file = nil
	}
	return err
}

func (l *LabelLog) open() error {
	if l.file != nil {
		return nil
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(l.dir, fmt.Sprintf("%s-%d.jsonl", l.nonce, l.number))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.number++
	if err := syncFolder(l.dir); err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, 0
	return nil
}

// Close closes the file of this process.
func (l *LabelLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

func bareError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// ReadLabels reads all labels of a model, those that came in files first. A line that was being written when its process was killed is left
// out: nobody was told that it is there. It returns NotFound without any.
func ReadLabels(ctx context.Context, e *table.Engine, dir string) (*table.Table, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, assay.Errorf(assay.Unavailable, "the log of labels cannot be listed: %w", bareError(err))
	}
	var closed []string
	var open []table.Piece
	for _, x := range entries { // by name
		switch path := filepath.Join(dir, x.Name()); filepath.Ext(path) {
		case ".parquet":
			if !strings.HasPrefix(x.Name(), ".") { // those are being written
				closed = append(closed, path)
			}
		case ".jsonl":
			open = append(open, table.Piece{Name: x.Name(), WriteLines: func(w io.Writer) error { return wholeLines(w, path) }})
		}
	}
	if len(closed)+len(open) == 0 {
		return nil, assay.Errorf(assay.NotFound, "no label has come for this model yet").Try("assay labels add FILE")
	}
	return e.ReadSegments(ctx, closed, open, LabelFields())
}

// wholeLines writes a file of labels up to its last line feed.
func wholeLines(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), bareError(err))
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), bareError(err))
	}
	end := st.Size()
	for one := make([]byte, 1); end > 0; end-- {
		if _, err := f.ReadAt(one, end-1); err != nil {
			return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), bareError(err))
		}
		if one[0] == '\n' {
			break
		}
	}
	_, err = io.CopyN(w, f, end)
	return err
}

// A LabelTable says what the columns of a table of labels are.
type LabelTable struct {
	Join  []string  // columns of the plan: JoinRequest or the key
	Label string    // column of the labels
	Came  string    // column that says when a label came; "": At
	At    time.Time // when they came; zero without Came: it is not known
	Now   time.Time // a label that came later has come now: a clock is wrong

	Known [][]string // classes of each version of the model, none for a regression: labels that are none of them are counted; nil: not looked at
}

// AddedLabels is what became of the rows of a table of labels.
type AddedLabels struct {
	Rows     int64 `json:"rows"`
	Added    int64 `json:"added"`    // that were taken
	Again    bool  `json:"again"`    // the same table was added before: nothing is
	Keyless  int64 `json:"keyless"`  // rows without a key, left out
	Empty    int64 `json:"empty"`    // rows without a label, left out
	Timeless int64 `json:"timeless"` // rows without a time, left out
	Ahead    int64 `json:"ahead"`    // labels from the future, taken as come now
	Unknown  int64 `json:"unknown"`  // labels that are no class of any version of the model, or no number: they are kept and mean nothing

	Strangers []Stranger `json:"strangers"` // the most frequent of them, at most ten
}

// A Stranger is a label that is no class of the model.
type Stranger struct {
	Label  string `json:"label"` // at most 40 characters of it
	Labels int64  `json:"labels"`
}

// What is named of labels that are no class of the model.
const (
	maxStrangers     = 10
	maxStrangerRunes = 40
)

// Labels makes the columns of LabelFields of a table of labels, rows without a key, a label or a time left out.
func (o LabelTable) Labels(ctx context.Context, t *table.Table) (*table.Table, AddedLabels, error) {
	a := AddedLabels{Rows: t.Rows()}
	need := append(slices.Clone(o.Join), o.Label)
	if o.Came != "" {
		need = append(need, o.Came)
	}
	var bad assay.Problems
	for _, name := range need {
		if _, ok := t.Field(name); !ok {
			bad.Add("%q", name)
		}
	}
	if err := bad.Err(assay.Rejected, "the labels have no column"); err != nil {
		return nil, a, assay.Errorf(assay.Rejected, "%w", err).Try("name the column with --label or --came, and the key in monitor.labels.join")
	}
	key, request, index := "NULL::VARCHAR", "NULL::VARCHAR", "NULL::BIGINT"
	present := ""
	if slices.Equal(o.Join, JoinRequest) {
		request, index = text(t, o.Join[0]), "TRY_CAST("+table.Ident(o.Join[1])+" AS BIGINT)"
		present = request + " IS NOT NULL AND " + index + " IS NOT NULL"
	} else {
		key = keyOf(t, o.Join)
		present = key + " IS NOT NULL"
	}
	label := text(t, o.Label)
	now := timestamp(o.Now)
	came, given := "NULL::TIMESTAMP", ""
	if !o.At.IsZero() {
		came = timestamp(o.At)
	}
	if o.Came != "" {
		f, _ := t.Field(o.Came)
		if f.Type != assay.TypeDate && f.Type != assay.TypeTimestamp {
			return nil, a, assay.Errorf(assay.Rejected, "column %q is a %s: it cannot say when a label came", o.Came, f.Type).Try("a column of dates or timestamps, or --came-at")
		}
		given = "CAST(" + table.Ident(o.Came) + " AS TIMESTAMP)"
		came = "least(" + given + ", " + now + ")"
	}
	count := func(cond string) string { return "count(*) FILTER (" + cond + ")" }
	timeless, ahead := "false", "false"
	if given != "" {
		timeless, ahead = given+" IS NULL", given+" > "+now
	}
	r, err := t.Query(ctx, "SELECT "+count("NOT ("+present+")")+", "+count(present+" AND "+label+" IS NULL")+", "+count(timeless)+", "+count(ahead)+" FROM "+t.Relation())
	if err != nil {
		return nil, a, err
	}
	defer r.Close()
	if r.Next() {
		if err := r.Scan(&a.Keyless, &a.Empty, &a.Timeless, &a.Ahead); err != nil {
			return nil, a, err
		}
	}
	if err := r.Close(); err != nil {
		return nil, a, err
	}
	v, err := t.Select(ctx, fmt.Sprintf("SELECT %s AS _came, %s AS _key, %s AS _request, %s AS _index, %s AS _label, _row FROM %s WHERE %s AND %s IS NOT NULL AND NOT (%s)",
		came, key, request, index, label, t.Relation(), present, label, timeless), LabelFields())
	if err != nil {
		return nil, a, err
	}
	a.Added = v.Rows()
	return v, a, o.strangers(ctx, v, &a)
}

// strangers counts and names labels that no version of the model knows.
func (o LabelTable) strangers(ctx context.Context, v *table.Table, a *AddedLabels) error {
	a.Strangers = []Stranger{}
	if o.Known == nil {
		return nil
	}
	classes, number := []string{}, false
	for _, k := range o.Known {
		number = number || len(k) == 0
		classes = append(classes, k...)
	}
	r, err := v.Query(ctx, "SELECT _label, count(*) FROM "+v.Relation()+" GROUP BY 1 ORDER BY 2 DESC, 1")
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var label string
		var n int64
		if err := r.Scan(&label, &n); err != nil {
			return err
		}
		if len(classes) > 0 && slices.Contains(classes, label) || number && Judges(nil, label) {
			continue
		}
		if a.Unknown += n; len(a.Strangers) < maxStrangers {
			if cut := []rune(label); len(cut) > maxStrangerRunes {
				label = string(cut[:maxStrangerRunes-1]) + "…"
			}
			a.Strangers = append(a.Strangers, Stranger{label, n})
		}
	}
	return r.Close()
}

// Add takes the labels of a table into the folder of a model.
func (o LabelTable) Add(ctx context.Context, dir string, t *table.Table) (AddedLabels, error) {
	v, a, err := o.Labels(ctx, t)
	if err != nil {
		return a, err
	}
	switch {
	case a.Rows == 0:
		return a, assay.Errorf(assay.Rejected, "there is no label: the table has columns and no row").Try("look at the file, or the query, that the labels come from")
	case a.Added == 0:
		return a, assay.Errorf(assay.Rejected, "none of the %s rows has a key (%s), a label (%s) and a time", assay.FormatCount(a.Rows), strings.Join(o.Join, ", "), o.Label).Try("name the column with --label or --came, and the key in monitor.labels.join")
	}
	same := v
	if o.Came == "" { // when the same labels are added again is no difference
		fields := LabelFields()[1:]
		if same, err = v.Select(ctx, "SELECT * EXCLUDE (_came) FROM "+v.Relation(), fields); err != nil {
			return a, err
		}
	}
	d, err := same.ContentDigest(ctx)
	if err != nil {
		return a, err
	}
	path := filepath.Join(dir, "table-"+d.Hex()[:32]+".parquet")
	if _, err := os.Stat(path); err == nil {
		a.Again, a.Added = true, 0
		return a, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return a, assay.Errorf(assay.Unavailable, "the log of labels cannot be made: %w", bareError(err))
	}
	if err := v.Write(ctx, path, nil, ""); err != nil {
		return a, err
	}
	if err := syncFolder(dir); err != nil {
		return a, assay.Errorf(assay.Unavailable, "the labels cannot be brought to the disk: %w", bareError(err))
	}
	return a, nil
}

// text is the SQL of a column as text, one number having one spelling.
func text(t *table.Table, name string) string {
	f, _ := t.Field(name)
	v, _ := category(&Feature{Type: assay.TypeString}, f)
	if f.Type == assay.TypeBoolean {
		v = "CAST(" + table.Ident(name) + " AS VARCHAR)"
	}
	return v
}

// keyOf is the SQL of a key of several columns as text, NULL where one of them is.
func keyOf(t *table.Table, columns []string) string {
	var parts []string
	for _, c := range columns {
		parts = append(parts, "("+text(t, c)+")")
	}
	return strings.Join(parts, fmt.Sprintf(" || chr(%d) || ", schema.KeySeparator))
}
