package run

import (
	"slices"
	"strings"
)

// A Requirement is one thing that a run needs to be repeatable, and how much it weighs in the score.
type Requirement struct {
	Code    string // what Run.Missing says when it is absent; a colon and a name may follow
	Weight  float64
	Meaning string
}

// Requirements returns what the reproducibility score is made of. The weights sum to 1 and are a judgement, not a measurement: what
// changes results most often weighs most.
func Requirements() []Requirement {
	return []Requirement{
		{"unseeded_generator", 0.25, "a random generator ran without a seed, or the start-up hook could not watch"},
		{"unversioned_input", 0.20, "an input has no content digest, no input was declared, or the raw data was opened beside what was handed over"},
		{"no_git", 0.15, "the source lies in no git commit; its files are recorded by digest"},
		{"unpinned_package", 0.15, "a package is installed from a directory, so its version does not say what it holds"},
		{"dirty_tree", 0.10, "the source differs from the commit; the difference is recorded"},
		{"no_environment", 0.05, "the interpreter and its packages are not known"},
		{"no_config", 0.05, "no configuration was handed over, so the parameters lie in the code"},
		{"network", 0.05, "a connection beyond this machine was opened"},
	}
}

// score is the sum of the weights of what is not missing, rounded to two digits.
func score(missing []string) float64 {
	hundredths := 0
	for _, r := range Requirements() {
		if !slices.ContainsFunc(missing, func(m string) bool { return m == r.Code || strings.HasPrefix(m, r.Code+":") }) {
			hundredths += int(100*r.Weight + 0.5)
		}
	}
	return float64(hundredths) / 100
}
