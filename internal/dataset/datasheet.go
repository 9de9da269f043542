package dataset

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/assay-ml/assay"
)

// Questions are the fields that a datasheet must answer, with what each asks. They follow Gebru et al., "Datasheets for Datasets"
// (2021), cut down to what a decision about a model needs.
var Questions = []struct{ Field, Asks string }{
	{"sources", "where the data comes from, and who collected it"},
	{"time_range", "which time the rows describe"},
	{"population", "who or what a row stands for, and who is not in it"},
	{"known_gaps", "what is missing, coded in disguise or known to be wrong"},
	{"exclusions", "which rows or columns were left out, how many and why; or none"},
	{"imputations", "which values were filled in, how many and why; or none"},
	{"licence", "under which terms the data may be used"},
}

// placeholders are answers that say nothing.
var placeholders = []string{"", "todo", "tbd", "fixme", "?", "-", "…", "...", "n/a", "na", "null", "fill me in", "unknown"}

// Datasheet checks the documentation of a data set. The answer "none" counts; a placeholder does not, and an exclusion or
// imputation that is not "none" must hold a number, how many rows, and words, which and why.
func Datasheet(doc map[string]string) assay.Datasheet {
	out := assay.Datasheet{Fields: map[string]string{}, Missing: []string{}}
	for _, k := range slices.Sorted(maps.Keys(doc)) {
		if v := strings.TrimSpace(doc[k]); v != "" {
			out.Fields[k] = v
		}
	}
	for _, q := range Questions {
		v := strings.ToLower(out.Fields[q.Field])
		switch {
		case slices.Contains(placeholders, v) || strings.HasPrefix(v, "todo"):
			out.Missing = append(out.Missing, q.Field)
		case (q.Field == "exclusions" || q.Field == "imputations") && !strings.HasPrefix(v, "none") && !strings.ContainsAny(v, "0123456789"):
			out.Missing = append(out.Missing, q.Field+" (how many)")
		case (q.Field == "exclusions" || q.Field == "imputations") && !strings.ContainsFunc(v, unicode.IsLetter):
			out.Missing = append(out.Missing, q.Field+" (which, and why)")
		}
	}
	out.Complete = len(out.Missing) == 0
	return out
}
