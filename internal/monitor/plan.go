package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// Defaults of Settings.
const (
	DefaultWindow      = "1d"
	DefaultFalseAlarms = 4
	DefaultEffectFloor = 0.1
	DefaultReplicates  = 1000
)

// Settings say how a version is watched. Zero values are defaults, which Plan derives from the data and the traffic.
type Settings struct {
	Windows            assay.WindowPlan
	FalseAlarmsPerYear float64  // 0: DefaultFalseAlarms
	EffectFloor        *float64 // in Cohen's w; nil: DefaultEffectFloor
	MinRows            int64    // 0: with fewer a change of twice the floor would be missed too often
	Persistence        int      // windows in a row; 0: 2 for more than 52 windows a year, else 1
	RowsPerDay         float64  // traffic, for windows by count; 0: that of the training data
	Numeric            string   // test of numeric columns; "": anderson_darling, for what moves along, and jensen_shannon, for what moves in places
	Categorical        string   // test of other columns; "": jensen_shannon
	Shares             string   // of ShareTests, of properties of rows; "": beta_binomial
	Correction         string   // "": benjamini_hochberg
	Seed               uint64
	Replicates         int       // 0: DefaultReplicates
	Labels             bool      // labels come later: half of the false alarms are theirs
	Joint              []string  // of JointTests; nil: all of them, empty: none, and no sample of reference rows is kept
	Events             []string  // of EventTests; none: no detector of changes within a window
	EventColumns       []string  // that detectors watch beside the score, and the 0/1 loss where labels come
	SkewKey            []string  // columns that tell a training row that comes back; none: they are not looked for
	ToleratedSkew      *float64  // share of them that may differ; nil: ToleratedSkew
	Redacted           []string  // columns that no sample may hold
	Tolerated          Tolerated // shares of the traffic

	blockSeconds int64   // of the stretches of the features' reference that a window is made of; 0: none
	dependence   float64 // of windows that follow each other
}

// A Subject is the version that a plan is made for, and the rows that it rests on.
type Subject struct {
	Train       *table.Table // what the model learned from
	Held        *table.Table // held-out rows with their labels
	Columns     []string     // to watch
	Categorical []string     // of them: numbers that are codes
	Target      string
	Time        string // column of Train and Held; "" when there is none
	Rows        int64  // of all parts, for the traffic that there was; 0: those of Train
	Model       Model
	trainAt     string            // SQL for when a row of Train came; "": its column does not say
	heldAt      string            // and a row of Held
	Answers     *learn.Prediction // to the rows of Held, in their order, of a model that cannot be asked; nil: Model.Predictor answers
}

// A Predictor answers the rows of a frame, on up to that many goroutines, with the same result at any number of them. A *learn.Predictor
// is one.
type Predictor interface {
	PredictParallel(ctx context.Context, x assay.Frame, workers int) (learn.Prediction, error)
}

// A Model predicts: what plans and windows need of a version.
type Model struct {
	Predictor Predictor
	Inputs    []string      // columns of a table
	Fields    []assay.Field // what they were in training; other values are refused. nil: not looked at
	Whole     []string      // of them: those that must have a value, and a whole one
	Task      assay.Task
	Positive  string
	Threads   int
	Classes   []string // of a classification, in the order of its probabilities
}

// A Plan is a plan as evidence has it, with the documents of its references, and the columns that cannot be watched.
type Plan struct {
	Monitor   assay.Monitor
	Documents [][]byte // in the order of Monitor.References
	Excluded  []string
	Cautions  []string // what chance takes for granted beyond what the plan says
	Empty     []string // without a value in training: of which only is watched whether that stays so
	Nested    []string // of which only is watched whether there is a value, and of what kind of JSON
}

// NewPlan freezes the references and derives what the settings leave open. The same rows, settings and model give the same bytes. It fills in the
// windows, the budget, the references and the signals; performance, labels and alerts are the caller's.
func NewPlan(ctx context.Context, x Subject, o Settings) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &Plan{}
	if err := x.clocks(ctx); err != nil {
		return nil, err
	}
	if f, ok := x.Train.Field(x.Time); ok && x.trainAt == "" {
		p.Cautions = append(p.Cautions, fmt.Sprintf("chance takes rows for independent, for column %q is of type %s and does not say when they came: want dates or timestamps in ISO 8601, years, or seconds, milliseconds, microseconds or nanoseconds since 1970", x.Time, f.Type))
	}
	features, out, err := freeze(ctx, x.Train, x.Columns, x.Categorical) // of a model of bytes alone the answers are watched
	if err != nil {
		return nil, err
	}
	p.Excluded = out
	for _, f := range features.Features {
		switch {
		case f.empty():
			p.Empty = append(p.Empty, f.Name)
		case f.Type == assay.TypeJSON:
			p.Nested = append(p.Nested, f.Name)
		}
	}
	held, err := x.answers(ctx, func() (assay.Frame, error) { return x.Held.Frame(ctx, x.Model.Inputs, "") }, nil)
	if err != nil {
		return nil, err
	}
	rowsPerDay, err := x.rowsPerDay(ctx)
	if err != nil {
		return nil, err
	}
	window, err := o.length(rowsPerDay)
	if err != nil {
		return nil, err
	}
	unit, answered := unitOf(o.Windows, window), x.Model.Frame(held)
	if x.heldAt != "" {
		c, err := unitsOf(ctx, x.Held, unit, x.heldAt)
		if err != nil {
			return nil, err
		}
		answered = append(answered, c)
	}
	predicted, err := x.Held.Engine().FromFrame(ctx, answered)
	if err != nil {
		return nil, err
	}
	defer predicted.Drop(context.WithoutCancel(ctx))
	outputs, _, err := Freeze(ctx, predicted, outputColumns(x.Model.Task), nil)
	if err != nil {
		return nil, err
	}
	var classes []string
	if x.Model.Task.Classifies() {
		classes = []string{x.Target}
	}
	labels, _, err := Freeze(ctx, x.Held, []string{x.Target}, classes)
	if err != nil {
		return nil, err
	}
	for _, side := range []struct {
		name string
		of   *Document
		in   *table.Table
		at   string
		by   string // "": by at
	}{{ReferenceFeatures, features, x.Train, x.trainAt, ""}, {ReferencePredictions, outputs, predicted, x.heldAt, "CAST(" + windowColumn + " AS BIGINT)"}, {ReferenceLabels, labels, x.Held, x.heldAt, ""}} {
		if err := o.stretches(ctx, side.of, side.in, side.at, side.by, unit, window); err != nil {
			return nil, err
		}
		if c := caution(side.of.spans(window), x.trainAt != "", window); c != "" {
			i := slices.IndexFunc(p.Cautions, func(other string) bool { return strings.HasSuffix(other, c) })
			if i < 0 {
				p.Cautions = append(p.Cautions, "chance in the "+side.name+" "+c)
			} else {
				p.Cautions[i] = strings.TrimSuffix(p.Cautions[i], " "+c) + ", " + side.name + " " + c
			}
		}
	}
	weights, err := x.weights(ctx, o.Seed)
	if err != nil {
		return nil, err
	}
	m := &p.Monitor
	m.Windows = o.Windows
	for _, side := range []struct {
		scope    string
		document *Document
	}{{ScopeInput, features}, {ScopePrediction, outputs}, {ScopeLabel, labels}} {
		for _, f := range side.document.Features {
			m.Signals = append(m.Signals, o.signals(side.scope, f, weights)...)
		}
		b, err := json.Marshal(side.document)
		if err != nil {
			return nil, assay.Errorf(assay.Internal, "a reference cannot be written: %w", err)
		}
		p.Documents = append(p.Documents, b)
	}
	if err := o.events(m, features, outputs, x.Model.Task); err != nil {
		return nil, err
	}
	if err := o.skewed(x, m); err != nil {
		return nil, err
	}
	sample, sampled, err := o.joint(ctx, x, features, weights, m)
	if err != nil {
		return nil, err
	}
	m.References = []assay.Reference{
		{Name: ReferenceFeatures, Part: assay.Train, Rows: features.Rows},
		{Name: ReferencePredictions, Part: assay.Valid, Rows: outputs.Rows},
		{Name: ReferenceLabels, Part: assay.Valid, Rows: labels.Rows},
	}
	if o.Labels {
		estimator, rows, err := freezeEstimator(ctx, x, x.stretchOf(o.Windows, perYear(o.Windows, cmp.Or(o.RowsPerDay, rowsPerDay))), o.Seed)
		if err != nil {
			return nil, err
		}
		if estimator != nil {
			p.Documents = append(p.Documents, estimator)
			m.References = append(m.References, assay.Reference{Name: ReferenceEstimator, Part: assay.Valid, Rows: rows})
		}
	}
	if sample != nil {
		p.Documents = append(p.Documents, sample)
		m.References = append(m.References, assay.Reference{Name: ReferenceSample, Part: assay.Train, Rows: sampled})
	}
	for i := range m.References {
		m.References[i].Document = assay.DigestOf(p.Documents[i])
	}
	m.Signals = append(m.Signals, o.Tolerated.signals()...)
	sortSignals(m.Signals)
	return p, o.budget(m, rowsPerDay)
}

func (o *Settings) check() error {
	var bad assay.Problems
	if o.FalseAlarmsPerYear == 0 {
		o.FalseAlarmsPerYear = DefaultFalseAlarms
	}
	if !(o.FalseAlarmsPerYear > 0) || math.IsInf(o.FalseAlarmsPerYear, 0) {
		bad.Add("%v false alarms a year", o.FalseAlarmsPerYear)
	}
	if o.EffectFloor == nil {
		floor := DefaultEffectFloor
		o.EffectFloor = &floor
	}
	if !(*o.EffectFloor >= 0 && *o.EffectFloor < 2) {
		bad.Add("an effect floor of %v; want 0 to 2, in Cohen's w", *o.EffectFloor)
	}
	if o.MinRows < 0 || o.Persistence < 0 || o.Persistence > 1000 || o.RowsPerDay < 0 {
		bad.Add("%d rows at least, %d windows in a row, %v rows a day", o.MinRows, o.Persistence, o.RowsPerDay)
	}
	if o.Replicates == 0 {
		o.Replicates = DefaultReplicates
	}
	if o.Replicates < 200 || o.Replicates > 1_000_000 {
		bad.Add("%d replicates; want 200 to 1000000", o.Replicates)
	}
	for _, t := range []struct {
		name    *string
		ordered bool
		of      string
	}{{&o.Numeric, true, "numeric"}, {&o.Categorical, false, "categorical"}} {
		if *t.name == "" {
			continue
		}
		if names := Tests(t.ordered); !slices.Contains(names, *t.name) {
			bad.Add("the test %q of %s columns is none of %s", *t.name, t.of, strings.Join(names, ", "))
		}
	}
	if o.Shares == "" {
		o.Shares = TestBetaBinomial
	}
	if !slices.Contains(ShareTests(), o.Shares) {
		bad.Add("the test %q of shares of rows is none of %s", o.Shares, strings.Join(ShareTests(), ", "))
	}
	if o.Correction == "" {
		o.Correction = "benjamini_hochberg"
	}
	for _, t := range o.Joint {
		if !slices.Contains(JointTests(), t) {
			bad.Add("the test %q of all columns together is none of %s", t, strings.Join(JointTests(), ", "))
		}
	}
	for _, t := range o.Events {
		if !slices.Contains(EventTests(), t) {
			bad.Add("the detector %q is none of %s", t, strings.Join(EventTests(), ", "))
		}
	}
	o.Tolerated.check(&bad)
	if _, ok := corrections[o.Correction]; !ok {
		bad.Add("the correction %q is none of benjamini_hochberg, benjamini_yekutieli, holm, bonferroni", o.Correction)
	}
	if o.Windows.By == "" {
		w, err := ParseWindow(DefaultWindow)
		if err != nil {
			return err
		}
		o.Windows = w
	}
	return bad.Err(assay.Invalid, "the monitor cannot be planned")
}

// Tests are the names of the tests that settings may choose: of columns whose cells have an order, or of all.
func Tests(ordered bool) (out []string) {
	for _, s := range stat.DriftScores() {
		if ordered || !s.Ordered() {
			out = append(out, strings.ReplaceAll(string(s), "-", "_"))
		}
	}
	return out
}

// Tests of how many rows have a property: a value that is missing, of another type, never seen or out of range.
const (
	TestBetaBinomial = "beta_binomial" // chance given the reference, as the distribution of the window's rows that follows from it
	TestFisher       = "fisher_exact"  // chance given how many rows of both together have the property
)

// ShareTests are the tests of such properties that settings may choose.
func ShareTests() []string { return []string{TestBetaBinomial, TestFisher} }

// signals are the tests of one column.
func (o *Settings) signals(scope string, f Feature, weights map[string]float64) []assay.SignalPlan {
	weight := 1.0
	if scope == ScopeInput {
		weight = weights[f.Name]
	}
	s := assay.SignalPlan{Scope: scope, Column: f.Name, Threshold: assay.Number(math.NaN()), Effect: EffectCohen, Floor: assay.Number(*o.EffectFloor), Weight: weight}
	asked, usual := o.Categorical, []string{"jensen_shannon"}
	if f.Edges != nil {
		asked, usual = o.Numeric, []string{"anderson_darling", "jensen_shannon"}
	}
	if asked != "" {
		usual = []string{asked}
	}
	var out []assay.SignalPlan
	s.Kind = KindDistribution
	for _, s.Test = range usual {
		if f.Type == assay.TypeJSON || f.empty() { // nothing inside nested values is looked at
			break
		}
		out = append(out, s)
	}
	s.Test = o.Shares
	kinds := []string{KindMissing, KindType, KindRange}
	if f.Categories != nil {
		kinds[2] = KindUnseen
	}
	if f.empty() { // whatever comes would be of no known type, range or category
		kinds = kinds[:1]
	}
	if scope != ScopeInput { // of a model's answers and of labels the schema says what they may be
		kinds = nil
	}
	for _, k := range kinds {
		if k == KindUnseen && f.Categories.Open {
			continue
		}
		s.Kind = k
		out = append(out, s)
	}
	return out
}

// length is how long a window is in seconds, where that much traffic comes in a day.
func (o *Settings) length(rowsPerDay float64) (float64, error) {
	if o.RowsPerDay > 0 {
		rowsPerDay = o.RowsPerDay
	}
	windows := perYear(o.Windows, rowsPerDay)
	if !(windows > 0) {
		return 0, assay.Errorf(assay.Invalid, "how many windows of %s come in a year is not known", FormatWindow(o.Windows)).Try("set monitor.rows_per_day in assay.yaml")
	}
	return yearly / windows, nil
}

// stretches counts a reference by stretches of time, where its rows have one: by SQL for when a row came, or for the number of its unit.
func (o *Settings) stretches(ctx context.Context, d *Document, t *table.Table, at, by string, unit int64, window float64) error {
	if at == "" {
		return nil
	}
	if by == "" {
		by = unitSQL(unit, at)
	}
	if err := d.stretches(ctx, t, by, unit, window); err != nil {
		return err
	}
	if s := d.spans(window); s != nil && o.blockSeconds == 0 {
		o.blockSeconds = int64(s.seconds)
	}
	dependence, err := d.dependence(window)
	o.dependence = max(o.dependence, dependence)
	return err
}

// budget turns the false alarms that are allowed into a level, and the level into the rows that it takes.
func (o *Settings) budget(m *assay.Monitor, rowsPerDay float64) error {
	window, err := o.length(rowsPerDay)
	if err != nil {
		return err
	}
	windows := yearly / window
	if o.Persistence == 0 {
		o.Persistence = 1
		if windows > 52.5 {
			o.Persistence = 2
		}
	}
	n := tests(m.Signals)
	allowed := o.FalseAlarmsPerYear
	if o.Labels {
		allowed /= 2
	}
	levels, err := stat.AlarmBudget{
		PerYear: allowed, Window: time.Duration(float64(yearly) / windows * float64(time.Second)), Columns: n,
		Correction: stat.Correction(corrections[o.Correction]), Persistence: stat.Persistence{K: o.Persistence, M: o.Persistence}, Dependence: o.dependence,
	}.Levels()
	if err != nil {
		return err
	}
	m.Budget.FalseAlarmsPerYear, m.Budget.WindowsPerYear, m.Budget.Level = o.FalseAlarmsPerYear, windows, math.Min(levels.Window, maxLevel)
	m.Budget.Correction, m.Budget.Replicates, m.Budget.Seed = o.Correction, o.Replicates, o.Seed
	m.Budget.Null, m.Budget.BlockSeconds, m.Budget.Dependence = "dirichlet_multinomial", o.blockSeconds, o.dependence
	if o.blockSeconds > 0 {
		m.Budget.Null = "stretches_of_time"
	}
	if o.MinRows == 0 {
		o.MinRows = enough(m.Budget.Level/float64(n), *o.EffectFloor)
	}
	m.Windows.MinRows = o.MinRows
	for i := range m.Signals {
		if s := &m.Signals[i]; s.Scope != ScopeTraffic && s.Kind != KindSkew {
			s.MinRows, s.Persist = o.MinRows, o.Persistence
		} else if s.Test == "binomial" { // its p-value is one of those that the budget is for
			s.Persist = o.Persistence
		}
	}
	return nil
}

// maxLevel bounds the level of a window however many false alarms are allowed: with a generous budget and few windows a year nearly each could be one.
const maxLevel = 0.05

// enough is how many rows it takes to find a change in one share of twice the floor at least four times of five, up to one digit.
func enough(level, floor float64) int64 {
	z := -stat.NormalQuantile(level/2) - stat.NormalQuantile(0.2)
	n := z * z / math.Pow(2*math.Max(floor, 0.01), 2)
	digit := math.Pow(10, math.Floor(math.Log10(n)))
	return int64(math.Max(50, math.Ceil(n/digit)*digit))
}

// Rewindow is a plan with the same references and tests and other windows: the budget is spread over those.
func (o Settings) Rewindow(p assay.Monitor) (assay.Monitor, error) {
	if err := o.check(); err != nil {
		return p, err
	}
	p.Windows = o.Windows
	p.Signals = slices.Clone(p.Signals)
	o.Seed, o.blockSeconds, o.dependence = p.Budget.Seed, p.Budget.BlockSeconds, p.Budget.Dependence
	rowsPerDay := 0.0
	if o.Windows.By == ByCount && o.RowsPerDay == 0 {
		rowsPerDay = float64(o.Windows.Rows) // as if each were a day
	}
	return p, o.budget(&p, rowsPerDay)
}

// PlanOf is a plan for a reference of features alone, without a model: what a table is held against another one with.
func PlanOf(features *Document, o Settings) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p := &Plan{Monitor: assay.Monitor{Windows: o.Windows}}
	weights := map[string]float64{}
	for _, f := range features.Features {
		weights[f.Name] = 1
	}
	for _, f := range features.Features {
		p.Monitor.Signals = append(p.Monitor.Signals, o.signals(ScopeInput, f, weights)...)
	}
	b, err := json.Marshal(features)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "a reference cannot be written: %w", err)
	}
	p.Documents = [][]byte{b}
	p.Monitor.References = []assay.Reference{{Name: ReferenceFeatures, Rows: features.Rows, Document: assay.DigestOf(b)}}
	sortSignals(p.Monitor.Signals)
	return p, o.budget(&p.Monitor, 0)
}
