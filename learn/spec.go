package learn

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/assay-ml/assay"
)

// A Spec says what to fit. Its zero value of every field but Learner, Task and Target means the default.
type Spec struct {
	Learner     string // a name of Learners
	Task        assay.Task
	Target      Target
	Categorical []string       // numeric columns whose values are codes, not quantities; string columns always are
	Params      map[string]any // of the learner; strict
	Prepare     Prepare
	ClassWeight ClassWeight
	Calibrate   string // binary learners: sigmoid or isotonic, learned from five folds of the training rows; empty: none
	Seed        uint64
	Threads     int // 0: one a processor; the result does not depend on it
}

// A Target describes what is predicted.
type Target struct {
	Name     string
	Type     assay.Type // integer classes become integer labels of the model, all others strings
	Classes  []string   // classification: all classes, in the order of Data.Labels' codes and of the probabilities
	Positive string     // binary: the class that counts as positive; empty: the last one
}

// Prepare says how columns become features. Everything is fitted on the training rows only and becomes part of the model.
type Prepare struct {
	Impute    string `json:"impute,omitempty"`     // missing numbers become the column's: median (default), mean, most_frequent, zero
	Indicator bool   `json:"indicator,omitempty"`  // one more 0/1 feature for each numeric column with missing values
	Unknown   string `json:"unknown,omitempty"`    // a category not seen in training is: ignore (default, no category), rare, error
	RareBelow int    `json:"rare_below,omitempty"` // categories with fewer training rows share one category; 0: none do
	MaxLevels int    `json:"max_levels,omitempty"` // a column keeps this many categories, the rest share one; 0: DefaultMaxLevels
}

// DefaultMaxLevels is the number of categories a column keeps by default.
const DefaultMaxLevels = 255

// A ClassWeight multiplies the weight of each row by that of its class.
type ClassWeight struct {
	Balanced bool               // n / (classes · rows of the class), as scikit-learn's "balanced"
	By       map[string]float64 // by class label; classes not named have weight 1
}

// Data is what a model is fitted on.
type Data struct {
	X       assay.Frame
	Labels  []int32   // classification: index into Target.Classes of each row
	Values  []float64 // regression
	Weights []float64 // nil: 1 each; non-negative
	Valid   *Data     // rows for early stopping; nothing is fitted on them
}

// A Param is one parameter of a learner.
type Param struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // integer, number, boolean, string
	Default any      `json:"default"`
	Min     float64  `json:"min"` // of numbers
	Max     float64  `json:"max"`
	Open    bool     `json:"open,omitempty"`    // the bounds themselves are excluded
	Choices []string `json:"choices,omitempty"` // of strings
	Doc     string   `json:"doc"`
}

// A Learner is one row of the table of what can be fitted.
type Learner struct {
	Name   string       `json:"name"`
	Tasks  []assay.Task `json:"tasks"`
	Doc    string       `json:"doc"`
	Params []Param      `json:"params"`
	fit    func(*job) (*Model, error)
}

// Baseline reports whether the learner ignores the features.
func (l Learner) Baseline() bool { return l.fit == nil }

// LookupLearner returns the learner of that name.
func LookupLearner(name string) (Learner, bool) {
	for _, l := range Learners() {
		if l.Name == name {
			return l, true
		}
	}
	return Learner{}, false
}

func (p Param) describe() string {
	switch {
	case p.Type == "string" && len(p.Choices) > 0:
		return "one of " + strings.Join(p.Choices, ", ")
	case p.Type == "string", p.Type == "boolean":
		return "a " + p.Type
	}
	open, shut := "[", "]"
	if p.Open {
		open, shut = "(", ")"
	}
	return fmt.Sprintf("%s in %s%v, %v%s", map[string]string{"integer": "an integer", "number": "a number"}[p.Type], open, p.Min, p.Max, shut)
}

// accept converts a value as decoded from YAML, JSON or Go to the parameter's type.
func (p Param) accept(v any) (any, bool) {
	switch p.Type {
	case "string":
		s, ok := v.(string)
		if ok && len(p.Choices) > 0 {
			ok = contains(p.Choices, s)
		}
		return s, ok
	case "boolean":
		b, ok := v.(bool)
		return b, ok
	}
	var f float64
	switch n := v.(type) {
	case int:
		f = float64(n)
	case int32:
		f = float64(n)
	case int64:
		f = float64(n)
	case uint64:
		f = float64(n)
	case float64:
		f = n
	case float32:
		f = float64(n)
	default:
		return nil, false
	}
	if !(f >= p.Min && f <= p.Max) || p.Open && (f == p.Min || f == p.Max) {
		return nil, false
	}
	if p.Type == "integer" {
		return int(f), f == math.Trunc(f)
	}
	return f, true
}

// resolve checks the given parameters against the table and fills in the defaults.
func (l Learner) resolve(given map[string]any, problems *assay.Problems) params {
	out := params{}
	names := make([]string, len(l.Params))
	for i, p := range l.Params {
		names[i] = p.Name
		out[p.Name] = p.Default
		v, ok := given[p.Name]
		if !ok || v == nil {
			continue
		}
		if out[p.Name], ok = p.accept(v); !ok {
			problems.Add("%s is %v, it must be %s", p.Name, v, p.describe())
			out[p.Name] = p.Default
		}
	}
	keys := make([]string, 0, len(given))
	for k := range given {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !contains(names, k) {
			problems.Add("%s has no parameter %q%s", l.Name, k, didYouMean(k, names))
		}
	}
	return out
}

// params are resolved parameters: every name of the learner's table is there, with its type.
type params map[string]any

func (p params) float(name string) float64 { return p[name].(float64) }
func (p params) int(name string) int       { return p[name].(int) }
func (p params) bool(name string) bool     { return p[name].(bool) }
func (p params) string(name string) string { return p[name].(string) }

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// splitNames splits a list at commas and drops spaces around the names.
func splitNames(list string) []string {
	var out []string
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// didYouMean names the nearest known name, when one is near.
func didYouMean(name string, known []string) string {
	best, bestAt := 3, -1
	for i, k := range known {
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < best {
			best, bestAt = d, i
		}
	}
	if bestAt < 0 {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", known[bestAt])
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := diagonal
			if a[i-1] != b[j-1] {
				d = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], d
		}
	}
	return row[len(b)]
}
