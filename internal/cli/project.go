package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/manifest"
)

// ProjectFile is the file that holds every parameter of an experiment.
const ProjectFile = "assay.yaml"

// Project is assay.yaml. It is strict: an unknown key is an error that names the line and the nearest key.
type Project struct {
	Name     string         `yaml:"project" jsonschema:"description=name of the project and of its registered model"`
	Store    string         `yaml:"store,omitempty" jsonschema:"description=directory of the evidence store,default=.assay"`
	Data     DataConfig     `yaml:"data" jsonschema:"description=where the data is and what its columns mean"`
	Schema   string         `yaml:"schema,omitempty" jsonschema:"description=file of the schema that every boundary is checked against,default=schema.json"`
	Split    SplitConfig    `yaml:"split,omitempty" jsonschema:"description=how rows are divided into train; validation and test"`
	Train    TrainConfig    `yaml:"train,omitempty" jsonschema:"description=what makes the model"`
	Search   *SearchConfig  `yaml:"search,omitempty" jsonschema:"description=hyper-parameter search on the training part"`
	Evaluate EvaluateConfig `yaml:"evaluate,omitempty" jsonschema:"description=how good is judged"`
	Gate     GateConfig     `yaml:"gate,omitempty" jsonschema:"description=what a promotion must pass"`
	Card     CardConfig     `yaml:"card,omitempty" jsonschema:"description=what only people can say about the model"`
	Serve    ServeConfig    `yaml:"serve,omitempty" jsonschema:"description=how the model answers requests"`
	Monitor  MonitorConfig  `yaml:"monitor,omitempty" jsonschema:"description=how the model is watched"`

	dir string // of the file; every relative path is relative to it
}

// DataConfig says where the data is and what its columns mean.
type DataConfig struct {
	URI       string            `yaml:"uri" jsonschema:"description=csv; tsv; json; jsonl or parquet file; a folder or a glob of them"`
	Key       Columns           `yaml:"key,omitempty" jsonschema:"description=columns that identify a row; absent: its content"`
	Entity    string            `yaml:"entity,omitempty" jsonschema:"description=column of what may not straddle a split: a person; a session"`
	Time      string            `yaml:"time,omitempty" jsonschema:"description=column of the time of a row: dates or timestamps; or years; or numbers of seconds or milliseconds or microseconds or nanoseconds since 1970"`
	Target    TargetConfig      `yaml:"target" jsonschema:"description=the label"`
	Sensitive []string          `yaml:"sensitive,omitempty" jsonschema:"description=columns of groups that must be treated fairly"`
	Exclude   []string          `yaml:"exclude,omitempty" jsonschema:"description=columns that are never features"`
	Category  []string          `yaml:"categorical,omitempty" jsonschema:"description=numeric columns whose numbers are codes"`
	Nulls     []string          `yaml:"nulls,omitempty" jsonschema:"description=texts that mean missing"`
	Delimiter string            `yaml:"delimiter,omitempty" jsonschema:"description=of a text file; absent: detected"`
	Quote     string            `yaml:"quote,omitempty" jsonschema:"description=around fields of a text file; or none; absent: a double quote"`
	Encoding  string            `yaml:"encoding,omitempty" jsonschema:"description=of a text file: utf-8; utf-16le; utf-16be; latin-1; absent: detected"`
	Header    string            `yaml:"header,omitempty" jsonschema:"description=whether a text file begins with the names of its columns; absent: detected,enum=,enum=yes,enum=no"`
	Document  map[string]string `yaml:"documentation,omitempty" jsonschema:"description=the datasheet: sources; time_range; population; known_gaps; exclusions; imputations; licence"`
}

// SplitConfig says how rows are divided.
type SplitConfig struct {
	By         string  `yaml:"by,omitempty" jsonschema:"description=how rows are assigned; stratified by the target for classes,enum=stratified,enum=random,enum=group,enum=stratified_group,enum=time,enum=hash,enum=predefined,default=stratified"`
	Column     string  `yaml:"column,omitempty" jsonschema:"description=column that names the part of each row; for predefined"`
	Validation float64 `yaml:"validation,omitempty" jsonschema:"description=share of rows to compare candidates on,default=0.2,exclusiveMinimum=0,exclusiveMaximum=1"`
	Test       float64 `yaml:"test,omitempty" jsonschema:"description=share of rows whose labels are sealed,default=0.2,exclusiveMinimum=0,exclusiveMaximum=1"`
	Seed       uint64  `yaml:"seed,omitempty" jsonschema:"description=of the assignment,minimum=0"`
	Purge      string  `yaml:"purge,omitempty" jsonschema:"description=time before each cut of a split by time that is left out; such as 14d"`
	Embargo    string  `yaml:"embargo,omitempty" jsonschema:"description=time after each cut of a split by time that is left out; such as 14d"`
}

// TrainConfig says what makes the model: a built-in learner or a command.
type TrainConfig struct {
	Learner string         `yaml:"learner,omitempty" jsonschema:"description=a built-in learner; see learners.md: prior; logistic_regression; linear_regression; ridge; elastic_net; gradient_boosting; …"`
	Params  map[string]any `yaml:"params,omitempty" jsonschema:"description=parameters of the learner; see learners.md"`
	Command []string       `yaml:"command,omitempty" jsonschema:"description=a command that trains; it finds its inputs in the environment"`
	Seed    uint64         `yaml:"seed,omitempty" jsonschema:"description=of everything random in training,minimum=0"`
	Weight  string         `yaml:"class_weight,omitempty" jsonschema:"description=balanced weighs classes by the inverse of their share,enum=,enum=balanced"`
	Compare []string       `yaml:"candidates,omitempty" jsonschema:"description=learners that cross-validation chooses from"`
	Folds   int            `yaml:"folds,omitempty" jsonschema:"description=of the cross-validation that chooses among candidates,default=5,minimum=2"`
}

// SearchConfig is a hyper-parameter search.
type SearchConfig struct {
	Sampler string                 `yaml:"sampler,omitempty" jsonschema:"description=how trials are suggested,enum=random,enum=tpe,default=tpe"`
	Pruner  string                 `yaml:"pruner,omitempty" jsonschema:"description=when a trial is given up early,enum=none,enum=median,enum=halving,default=none"`
	Trials  int                    `yaml:"trials,omitempty" jsonschema:"description=how many,default=30,minimum=1"`
	Seed    uint64                 `yaml:"seed,omitempty" jsonschema:"description=of the suggestions,minimum=0"`
	Space   map[string]SpaceConfig `yaml:"space" jsonschema:"description=range of each parameter by name"`
}

// SpaceConfig is the range of one parameter.
type SpaceConfig struct {
	Low     *float64 `yaml:"low,omitempty" jsonschema:"description=least value"`
	High    *float64 `yaml:"high,omitempty" jsonschema:"description=greatest value"`
	Log     bool     `yaml:"log,omitempty" jsonschema:"description=even on the logarithm"`
	Int     bool     `yaml:"int,omitempty" jsonschema:"description=whole numbers only"`
	Choices []any    `yaml:"choices,omitempty" jsonschema:"description=values to choose from; instead of a range"`
}

// EvaluateConfig says how good is judged.
type EvaluateConfig struct {
	Metrics    []string        `yaml:"metrics,omitempty" jsonschema:"description=names as scikit-learn has them; see metrics.md"`
	Primary    string          `yaml:"primary,omitempty" jsonschema:"description=the metric that decides; the first of metrics without it"`
	Business   *BusinessConfig `yaml:"business,omitempty" jsonschema:"description=a metric in your own terms"`
	Slices     []string        `yaml:"slices,omitempty" jsonschema:"description=a column; or COLUMN: band; band; or A & B"`
	Baseline   BaselineConfig  `yaml:"baseline,omitempty" jsonschema:"description=what the model is held against: the name of a learner that ignores the features (prior; majority; mean; median; …); or rule: EXPRESSION over the features; or learner and params"`
	Threshold  *float64        `yaml:"threshold,omitempty" jsonschema:"description=probability from which a row counts as positive and is answered so by the version that was evaluated with it,default=0.5,exclusiveMinimum=0,exclusiveMaximum=1"`
	Replicates int             `yaml:"replicates,omitempty" jsonschema:"description=of the bootstrap,default=2000,minimum=200,maximum=100000"`
	Weight     string          `yaml:"weight,omitempty" jsonschema:"description=a column of numbers: how many rows each row stands for in every figure; no feature then"`
	Level      float64         `yaml:"level,omitempty" jsonschema:"description=coverage of the intervals,default=0.95,exclusiveMinimum=0.5,exclusiveMaximum=1"`
	Correction string          `yaml:"correction,omitempty" jsonschema:"enum=holm,enum=bh,default=holm,description=over the slices: Holm or Benjamini-Hochberg"`
	Rule       string          `yaml:"slice_rule,omitempty" jsonschema:"enum=baseline,enum=rest,default=baseline,description=what a slice is judged by: the baseline on the same rows; or all other rows"`
	Margin     float64         `yaml:"slice_margin,omitempty" jsonschema:"description=how much worse than that a slice may be in the primary metric; also against the model in production,default=0,minimum=0"`
	Limit      *float64        `yaml:"slice_limit,omitempty" jsonschema:"description=the worst value of the primary metric that a slice may have"`
	MinRows    int64           `yaml:"min_rows,omitempty" jsonschema:"description=below it a slice is undetermined; of sealed rows at least 10 are needed whatever this says,minimum=1"`
	Seed       uint64          `yaml:"seed,omitempty" jsonschema:"description=of the bootstrap,minimum=0"`
}

// BusinessConfig is a metric in the user's own terms.
type BusinessConfig struct {
	Name      string `yaml:"name" jsonschema:"description=of the metric"`
	Expr      string `yaml:"expr" jsonschema:"description=CEL over tp; fp; tn; fn; n as doubles; see the page on evaluation for other tasks"`
	Direction string `yaml:"direction" jsonschema:"description=which way is better,enum=lower,enum=higher"`
}

// GateConfig says what a promotion must pass.
type GateConfig struct {
	Policy string  `yaml:"policy,omitempty" jsonschema:"description=default; or a policy file,default=default"`
	Margin float64 `yaml:"margin,omitempty" jsonschema:"description=how much worse than production still counts as not worse,minimum=0"`
}

// CardConfig holds what only people can say about a model.
type CardConfig struct {
	Description string `yaml:"description,omitempty" jsonschema:"description=what the model does"`
	Licence     string `yaml:"licence,omitempty" jsonschema:"description=of the model"`
	Owners      string `yaml:"owners,omitempty" jsonschema:"description=who answers for it"`
	Users       string `yaml:"users,omitempty" jsonschema:"description=who is meant to use it"`
	IntendedUse string `yaml:"intended_use,omitempty" jsonschema:"description=what it is for"`
	OutOfScope  string `yaml:"out_of_scope,omitempty" jsonschema:"description=what it is not for"`
	Limitations string `yaml:"limitations,omitempty" jsonschema:"description=what it does badly"`
	Tradeoffs   string `yaml:"tradeoffs,omitempty" jsonschema:"description=what it gives up for what"`
	OutOfDist   string `yaml:"out_of_distribution,omitempty" jsonschema:"description=what it does on rows unlike those it learned from"`
	Ethics      string `yaml:"ethical_considerations,omitempty" jsonschema:"description=whom it may harm and how"`
	Contact     string `yaml:"contact,omitempty" jsonschema:"description=whom to ask"`
}

// Columns is one column name or a list of them.
type Columns []string

// UnmarshalYAML reads a scalar or a sequence.
func (c *Columns) UnmarshalYAML(b []byte) error {
	var list []string
	if err := yaml.Unmarshal(b, &list); err == nil {
		*c = list
		return nil
	}
	var s Scalar
	if err := yaml.Unmarshal(b, &s); err != nil {
		return err
	}
	*c = nil
	if s != "" {
		*c = Columns{string(s)}
	}
	return nil
}

// Scalar is any YAML scalar, kept as its text: 1, true and "1" are "1", "true" and "1".
type Scalar string

// UnmarshalYAML reads a scalar of any type.
func (s *Scalar) UnmarshalYAML(b []byte) error {
	var v any
	if err := yaml.Unmarshal(b, &v); err != nil {
		return err
	}
	switch x := v.(type) {
	case nil:
		*s = ""
	case map[string]any, []any:
		return errors.New("want one value, not a list or a map")
	default:
		*s = Scalar(fmt.Sprint(x))
	}
	return nil
}

// LoadProject reads assay.yaml. An empty path means the file in dir or the nearest folder above it.
func LoadProject(dir, path string) (*Project, error) {
	p, bad, err := loadProject(dir, path)
	if err == nil {
		err = bad.Err(assay.Invalid, ProjectFile)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func loadProject(dir, path string) (*Project, assay.Problems, error) {
	if path == "" {
		p, err := findProject(dir)
		if err != nil {
			return nil, nil, err
		}
		path = p
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	src, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil, assay.Errorf(assay.NotFound, "no file %s", filepath.Base(path)).Try("assay init DATA --target COLUMN")
	case err != nil:
		return nil, nil, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	p, bad, err := readProject(src)
	if err != nil {
		return nil, nil, err
	}
	p.dir = filepath.Dir(path)
	return p, bad, nil
}

func findProject(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		p := filepath.Join(d, ProjectFile)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
		if d == filepath.Dir(d) {
			return "", assay.Errorf(assay.NotFound, "no %s here or in a folder above", ProjectFile).Try("assay init DATA --target COLUMN")
		}
	}
}

// ParseProject reads the text of assay.yaml, fills in the defaults and reports every problem at once.
func ParseProject(src []byte) (*Project, error) {
	p, bad, err := readProject(src)
	if err != nil {
		return nil, err
	}
	if err := bad.Err(assay.Invalid, ProjectFile); err != nil {
		return nil, err
	}
	return p, nil
}

// readProject reads a project and what is wrong with it; an error is a text that cannot be decoded.
func readProject(src []byte) (*Project, assay.Problems, error) {
	file, err := manifest.Parse(ProjectFile, src, plain)
	if err != nil {
		return nil, nil, err
	}
	keys := &keyReader{anchors: map[string]ast.Node{}}
	for _, doc := range file.Docs {
		ast.Walk(keys, doc)
		keys.read(doc.Body, reflect.TypeFor[Project](), "")
	}
	if len(file.Docs) > 1 {
		keys.broken.Add("%d YAML documents; want one", len(file.Docs))
	}
	if err := keys.broken.Err(assay.Invalid, ProjectFile); err != nil {
		return nil, nil, err
	}
	p := &Project{}
	if err := yaml.Unmarshal(src, p); err != nil {
		return nil, nil, assay.Errorf(assay.Invalid, "%s: %s", ProjectFile, plain(err))
	}
	p.defaults()
	p.check(&keys.beyond)
	return p, keys.beyond, nil
}

// plain is a YAML error with its line in words.
func plain(err error) string {
	place := regexp.MustCompile(`at \[(\d+):\d+\]`)
	text := strings.TrimSpace(yaml.FormatError(err, false, false))
	if head, _, ok := strings.Cut(text, "cannot unmarshal "); ok { // the library names the types of Go
		text = head + "the value has the wrong type"
	}
	if line, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(line, "[") {
		line, _, _ = strings.Cut(line[1:], ":")
		return "line " + line + ": " + place.ReplaceAllString(rest, "on line $1")
	}
	return text
}

// didYouMean names the nearest of names when it is near enough to be meant, and all of them otherwise, up to a dozen.
func didYouMean(got string, names []string) string {
	if n := nearest(got, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	const show = 12
	sorted := slices.Sorted(slices.Values(names))
	if len(sorted) > show {
		return fmt.Sprintf("; there are %d, such as %s", len(sorted), strings.Join(sorted[:show], ", "))
	}
	return "; there are " + strings.Join(sorted, ", ")
}

// nearest is the name that was most likely meant: at most two letters off, or else one of which the other is the beginning.
func nearest(got string, names []string) string {
	if len(got) > 100 {
		return ""
	}
	low := strings.ToLower(got)
	best, dist := "", min(3, len(got))
	for _, n := range names {
		if d := editDistance(low, strings.ToLower(n)); d < dist {
			best, dist = n, d
		}
	}
	if best != "" || len(got) < 3 {
		return best
	}
	for _, n := range names {
		if l := strings.ToLower(n); len(n) >= 3 && (strings.HasPrefix(l, low) || strings.HasPrefix(low, l)) {
			return n
		}
	}
	return ""
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, row[j], row[j-1])
			}
			diag, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}

// splitShare is the share of the rows for validation, and that for the test, unless the file says another.
const splitShare = 0.2

func (p *Project) defaults() {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	p.Serve.defaults()
	set(&p.Store, ".assay")
	set(&p.Schema, "schema.json")
	set(&p.Gate.Policy, "default")
	if p.Data.Target.Task == assay.Ranking {
		set(&p.Data.Entity, p.Data.Target.Query)
	}
	set(&p.Split.By, p.splitBy())
	for _, share := range []*float64{&p.Split.Validation, &p.Split.Test} {
		if *share == 0 {
			*share = splitShare
		}
	}
	if p.Train.Learner == "" && len(p.Train.Command) == 0 && !p.Data.Target.outside() {
		p.Train.Learner = "gradient_boosting"
	}
	if p.Train.Folds == 0 {
		p.Train.Folds = 5
	}
	e := &p.Evaluate
	if len(e.Metrics) == 0 {
		e.Metrics = metricsOf(p.Data.Target.Task)
	}
	set(&e.Primary, e.Metrics[0])
	set(&e.Baseline.Learner, baselineOf(p.Data.Target.Task))
	if e.Threshold == nil {
		half := 0.5
		e.Threshold = &half
	}
	if e.Replicates == 0 {
		e.Replicates = 2000
	}
	if e.Level == 0 {
		e.Level = 0.95
	}
}

// check adds what is wrong with the file as a whole; what is wrong with a value alone, its key says (see keyReader).
func (p *Project) check(bad *assay.Problems) {
	if p.Name == "" {
		bad.Add("project is empty: it names the project and its model")
	} else if strings.ContainsAny(p.Name, "/\\ \t\n") {
		bad.Add("project %q holds a space or a slash", p.Name)
	}
	if p.Data.URI == "" {
		bad.Add("data.uri is empty")
	}
	p.Serve.check(bad)
	p.Data.Target.check(p, bad)
	if strings.HasSuffix(p.Split.By, "group") && p.Data.Entity == "" {
		bad.Add("split.by %s needs data.entity", p.Split.By)
	}
	if p.Split.By == "time" && p.Data.Time == "" {
		bad.Add("split.by time needs data.time")
	}
	for _, x := range [][2]string{{"purge", p.Split.Purge}, {"embargo", p.Split.Embargo}} {
		if x[1] != "" && p.Split.By != "time" {
			bad.Add("split.%s leaves out time around the cuts of split.by time; split.by is %s and has none", x[0], p.Split.By)
		}
	}
	if p.Split.By == "predefined" && p.Split.Column == "" {
		bad.Add("split.by predefined needs split.column")
	}
	if p.Split.Validation+p.Split.Test >= 1 {
		bad.Add("split.validation and split.test add up to %v; nothing is left to train on", p.Split.Validation+p.Split.Test)
	}
	if p.Train.Learner != "" && len(p.Train.Command) > 0 {
		bad.Add("train has both a learner and a command; want one")
	}
	if !slices.Contains(p.Evaluate.Metrics, p.Evaluate.Primary) {
		bad.Add("evaluate.primary %q is not in evaluate.metrics", p.Evaluate.Primary)
	}
	if w := p.Evaluate.Weight; w != "" && slices.Contains(p.Data.Target.names(), w) {
		bad.Add("evaluate.weight is the target %q: a row's answer would say how much it counts", w)
	}
	p.Evaluate.Baseline.check(p.Data.Target, bad)
	if p.Evaluate.Rule == "rest" && p.Evaluate.Margin == 0 {
		bad.Add("evaluate.slice_rule rest needs evaluate.slice_margin: without one, half of the slices would have to be better than the rest")
	}
	if b := p.Evaluate.Business; b != nil {
		if b.Name == "" || b.Expr == "" {
			bad.Add("evaluate.business needs name and expr")
		} else if t := p.Data.Target.Task; t != "" {
			business := eval.Business{Name: b.Name, Expr: b.Expr}
			if err := business.Compiles(t); err != nil {
				bad.Add("evaluate.business: %s", err)
			}
		}
		if b.Direction == "" {
			bad.Add("evaluate.business.direction is empty: lower or higher")
		}
	}
	p.Monitor.check(p, bad)
	p.checkNames(bad)
}

// Path resolves a path of the file against its folder. A URI with a scheme and "-" stay as they are.
func (p *Project) Path(s string) string {
	if s == "-" || filepath.IsAbs(s) || strings.Contains(s, "://") {
		return s
	}
	return filepath.Join(p.dir, s)
}
