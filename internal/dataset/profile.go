package dataset

import (
	"context"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Limits of a profile. Each is stated in the report where it was reached.
const (
	// PairColumns is how many columns are compared with each other; beyond it those most related to the target, then the first.
	PairColumns = 300
	// CategoryValues is up to how many distinct values Cramér's V is taken.
	CategoryValues = 100
	// CodeValues is up to how many distinct values an integer column may be a code rather than a quantity.
	CodeValues = 50
	// GiveawayLimit is the power of one column over the target (AUC, or the measure of its relation) from which it gives it away.
	GiveawayLimit = 0.995
	// MaxClasses is up to how many distinct values a target without a stated task has classes.
	MaxClasses = 20
	// RerankBudget is how many row visits the Spearman correlations of columns with missing values and many distinct ones may take.
	RerankBudget = 3_000_000_000
)

// ProfileOptions say what is known of the columns. The zero value profiles a table without a target.
type ProfileOptions struct {
	Target      string
	Task        assay.Task // "": decided from the target's type and distinct values
	Sensitive   []string   // columns whose values are left out of the report
	Key         []string   // columns that identify a row
	Scope       string     // which rows the table holds, in words; "": all rows
	Withheld    int64      // rows that the scope leaves out
	Bins        int        // of a histogram; 0: table.DefaultBins
	MemoryBytes int64      // what the table engine leaves; 0: no limit. It decides how many columns are read at a time
	Progress    func(done, total int)
	lean        int // for tests: leanColumns
}

// A ProfileReport is all that was seen of a data set. Every number is exact: no row is sampled and no value estimated, but for what
// carries an interval. It holds values of the data only as frequent values, extremes and quantiles, and none of sensitive columns.
type ProfileReport struct {
	Rows       int64          `json:"rows"`
	Columns    int            `json:"columns"`
	Scope      string         `json:"scope"`
	Withheld   int64          `json:"withheld"`
	Exact      bool           `json:"exact"`   // every count, moment and quantile
	Missing    int64          `json:"missing"` // cells, null or NaN
	Duplicates Duplicates     `json:"duplicates"`
	Target     *TargetProfile `json:"target,omitempty"`
	Variables  []Variable     `json:"variables"` // in the order of the table
	Pairs      []Pair         `json:"pairs"`
	Holes      []HolePair     `json:"missing_pairs"`
	Nullity    *Nullity       `json:"missing_matrix,omitempty"`
	Disguised  []Disguise     `json:"disguised_missing"`
	Alerts     []assay.Alert  `json:"alerts"`            // ranked, most important first
	Limits     []string       `json:"limits"`            // what was left out, and why
	Reading    *assay.Reading `json:"reading,omitempty"` // how text was read; absent for Parquet
	Notes      []table.Note   `json:"notes,omitempty"`   // what a person should know about how it was read
}

// Duplicates counts rows, not groups of rows: each row that equals an earlier one. Missing equals missing.
type Duplicates struct {
	Rows    int64    `json:"rows"`
	Ignored []string `json:"ignored"` // key and id-like columns
	Without int64    `json:"without"` // rows that equal an earlier row in all columns but those
}

// A TargetProfile is the column to predict.
type TargetProfile struct {
	Column       string       `json:"column"`
	Task         assay.Task   `json:"task"`
	Missing      int64        `json:"missing"`
	Classes      []Class      `json:"classes,omitempty"` // in the order of values
	Imbalance    assay.Number `json:"imbalance"`         // 1 − entropy / log(classes): 0 when balanced
	Ratio        assay.Number `json:"ratio"`             // most frequent to least frequent class
	Consequences []string     `json:"consequences,omitempty"`
}

// A Class is one value of the target.
type Class struct {
	Value    string       `json:"value"`
	Count    int64        `json:"count"`
	Fraction assay.Number `json:"fraction"`
	Weight   assay.Number `json:"weight"` // rows / (classes × count): what class_weight: balanced uses
}

// A Variable is one column.
type Variable struct {
	table.Summary
	Kind       string            `json:"kind"` // quantity, count, code, category, text, boolean, date, identifier, constant, empty
	Hidden     bool              `json:"hidden,omitempty"`
	Missing    int64             `json:"missing"` // null and NaN
	Characters *table.Characters `json:"characters,omitempty"`
	Weekdays   []int64           `json:"weekdays,omitempty"` // rows by day of the week, from Monday, of a date
	First      string            `json:"first,omitempty"`    // least and greatest date
	Last       string            `json:"last,omitempty"`
	Relation   *Relation         `json:"relation,omitempty"`
	Groups     []Group           `json:"groups,omitempty"` // by class of the target
	Values     []ValueRate       `json:"values,omitempty"` // the target at the frequent values
	Bands      []Band            `json:"bands,omitempty"`  // a numeric target along the values
}

// A Band is a numeric target among the rows whose value lies between two quantiles of a column, by its midrank: equal values are in one
// band. Rows without a target are not counted.
type Band struct {
	From  float64      `json:"from"` // probabilities
	To    float64      `json:"to"`
	Low   assay.Number `json:"low"` // the quantiles there
	High  assay.Number `json:"high"`
	Count int64        `json:"count"`
	Mean  assay.Number `json:"mean"` // of the target
	Std   assay.Number `json:"std"`  // n − 1
}

// A Nullity says where in the order of rows values are missing: block b of B begins at row ⌊b × rows / B⌋.
type Nullity struct {
	Columns []string  `json:"columns"` // those that miss most, in the order of the table
	Blocks  int       `json:"blocks"`
	Counts  [][]int64 `json:"counts"` // missing values of each column in each block
}

// A Relation is how much one column tells about the target by itself.
type Relation struct {
	Strength   assay.Number    `json:"strength"`          // 0–1, what ranks columns; of Measure
	Measure    string          `json:"measure"`           // auc, cramers_v, correlation_ratio, spearman; of a column that gives the target away also auc_of_every_two_classes, brier_score_removed, variance_explained
	AUC        assay.Number    `json:"auc"`               // binary: how well the column orders the classes, in either direction
	CramersV   assay.Number    `json:"cramers_v"`         // bias-corrected
	Eta        assay.Number    `json:"correlation_ratio"` // √ of the share of variance (of ranks, for regression) between groups
	Spearman   assay.Number    `json:"spearman"`
	Missing    *assay.Estimate `json:"missing,omitempty"` // target where the column is missing minus where it is not
	MissingIn  assay.Number    `json:"target_missing"`    // share of the second class, or mean, where missing
	MissingOut assay.Number    `json:"target_present"`
}

// A Group is a column within one class of the target.
type Group struct {
	Class string `json:"class"`
	table.Numbers
}

// A ValueRate is the target among the rows with one value.
type ValueRate struct {
	Value string       `json:"value"`
	Count int64        `json:"count"`
	Rate  assay.Number `json:"rate"` // share of the second class; mean of a numeric target
}

// A Pair is two columns, on the rows where both have a (finite) value.
type Pair struct {
	A        string       `json:"a"`
	B        string       `json:"b"`
	N        int64        `json:"n"`
	Pearson  assay.Number `json:"pearson"`
	Spearman assay.Number `json:"spearman"`
	CramersV assay.Number `json:"cramers_v"`          // bias-corrected (Bergsma 2013)
	Function string       `json:"function,omitempty"` // "a" when b alone determines a, "b", or "both"
}

// A HolePair is two columns that are missing together, or apart.
type HolePair struct {
	A    string       `json:"a"`
	B    string       `json:"b"`
	Both int64        `json:"both"`
	Phi  assay.Number `json:"phi"` // correlation of being missing
}

// A Disguise is a value that seems to stand for a missing one.
type Disguise struct {
	Column string `json:"column"`
	Value  string `json:"value"`
	Count  int64  `json:"count"`
	Rule   string `json:"rule"` // skip, sentinel, placeholder
	Why    string `json:"why"`
}

// Profile looks at every row of a table. It reads each column once, and derives all else from codes of one, two or four bytes a value.
// Reference of the statistics: pandas 2.3, relative tolerance 1e-9 (skewness and kurtosis 1e-8).
func Profile(ctx context.Context, t *table.Table, o ProfileOptions) (*ProfileReport, error) {
	p, err := newProfiler(t, o)
	if err != nil {
		return nil, err
	}
	if err := p.examine(ctx); err != nil {
		return nil, err
	}
	if p.sieve == nil {
		for i := range p.columns {
			p.relateColumn(i)
		}
	}
	p.kinds()
	if err := p.pairs(ctx); err != nil {
		return nil, err
	}
	p.placeholders()
	p.relatePairs()
	p.holes()
	if err := p.duplicates(ctx); err != nil {
		return nil, err
	}
	p.variables()
	p.alerts()
	return &p.report, nil
}

// Payload is the evidence of the report; stored is the digest of its JSON.
func (r *ProfileReport) Payload(stored assay.Digest) assay.Profile {
	out := assay.Profile{Rows: r.Rows, Columns: r.Columns, Duplicates: r.Duplicates.Rows, Missing: r.Missing, Alerts: slices.Clone(r.Alerts), Report: stored}
	if r.Target != nil {
		out.Target = r.Target.Column
	}
	if out.Alerts == nil {
		out.Alerts = []assay.Alert{}
	}
	return out
}

// NaNs are the cells among Missing that are NaN.
func (r *ProfileReport) NaNs() int64 {
	var n int64
	for i := range r.Variables {
		n += r.Variables[i].NaNs
	}
	return n
}

// A profiler is a profile in the making.
type profiler struct {
	options ProfileOptions
	table   *table.Table
	report  ProfileReport
	columns []*table.Examined // in the order of the table
	kind    []string
	index   map[string]int
	target  int // index of the target, -1 without
	y       []float64
	rel     []*Relation
	rates   [][]ValueRate
	bands   [][]Band
	sieve   *sieve // of a profile of very many columns
	rerank  reranker
	close   *signals // the rows that have a target, once a column is looked at closely
}

func newProfiler(t *table.Table, o ProfileOptions) (*profiler, error) {
	fields := t.Fields()
	p := &profiler{
		options: o, table: t, target: -1, index: map[string]int{}, columns: make([]*table.Examined, len(fields)), rel: make([]*Relation, len(fields)),
		kind: make([]string, len(fields)), rates: make([][]ValueRate, len(fields)), bands: make([][]Band, len(fields)),
	}
	for i, f := range fields {
		p.index[f.Name] = i
	}
	var bad assay.Problems
	need := func(what string, names ...string) {
		for _, n := range names {
			if _, ok := p.index[n]; !ok {
				bad.Add("there is no %s column %q", what, n)
			}
		}
	}
	if o.Target != "" {
		need("target", o.Target)
		p.target = p.index[o.Target]
	}
	need("sensitive", o.Sensitive...)
	need("key", o.Key...)
	scope := o.Scope
	if scope == "" {
		scope = "all rows"
	}
	p.report = ProfileReport{
		Rows: t.Rows(), Columns: len(fields), Scope: scope, Withheld: o.Withheld, Exact: true, Pairs: []Pair{}, Holes: []HolePair{},
		Disguised: []Disguise{}, Alerts: []assay.Alert{}, Limits: []string{}, Variables: []Variable{}, Notes: t.Notes(),
	}
	if r := t.Reading(); r.Encoding != "" {
		p.report.Reading = &r
	}
	return p, bad.Err(assay.Invalid, "the data cannot be profiled")
}

// examine reads the target first, and then every other column by its classes.
func (p *profiler) examine(ctx context.Context) error {
	total, done := len(p.columns), 0
	atOnce := 0
	if m := p.options.MemoryBytes; m > 0 && p.table.Rows()*columnBytes*2 > m/2 {
		atOnce = 1
	}
	if limit := p.options.lean; total > limit && limit > 0 || total > leanColumns {
		p.sieve = &sieve{rows: make([]rowSum, p.table.Rows()), rest: make([]rowSum, p.table.Rows())}
	}
	o := table.ExamineOptions{AtOnce: atOnce, SummaryOptions: table.SummaryOptions{Bins: p.options.Bins}, Each: func(e *table.Examined) error {
		i := p.index[e.Name]
		p.columns[i] = e
		p.report.Missing += e.Nulls + e.NaNs
		if done++; p.options.Progress != nil {
			p.options.Progress(done, total)
		}
		if p.sieve != nil && i != p.target {
			p.pass(i)
		}
		return nil
	}}
	var rest []string
	for _, f := range p.table.Fields() {
		if f.Name != p.options.Target {
			rest = append(rest, f.Name)
		}
	}
	if p.target >= 0 {
		if err := p.table.Examine(ctx, []string{p.options.Target}, o); err != nil {
			return err
		}
		p.describeTarget()
		if err := p.targetValues(ctx); err != nil {
			return err
		}
		if p.sieve != nil {
			p.pass(p.target)
		}
		if p.report.Target.Task.Classifies() {
			o.By = p.columns[p.target]
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return p.table.Examine(ctx, rest, o)
}

// columnBytes is what a row of a column takes in memory while it is examined.
const columnBytes = 32

func missing(e *table.Examined) int64 { return e.Nulls + e.NaNs }
