package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay/learn"
)

// learnersHelp lists what can be trained, for --help: every learner with its tasks, and every parameter with default and range.
func learnersHelp() string {
	var b strings.Builder
	for _, l := range learn.Learners() {
		fmt.Fprintf(&b, "  %s (%s): %s\n", l.Name, tasksOf(l), l.Doc)
		for _, p := range l.Params {
			fmt.Fprintf(&b, "    %s (%s; default %s): %s\n", p.Name, rangeOf(p), defaultOf(p), p.Doc)
		}
	}
	return b.String()
}

// tasksOf are the tasks that a learner is for.
func tasksOf(l learn.Learner) string {
	names := make([]string, len(l.Tasks))
	for i, t := range l.Tasks {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// rangeOf says what a parameter may be.
func rangeOf(p learn.Param) string {
	switch {
	case len(p.Choices) > 0:
		var some []string
		for _, c := range p.Choices {
			if c != "" {
				some = append(some, c)
			}
		}
		return strings.Join(some, ", ")
	case p.Type == "boolean":
		return "true or false"
	case p.Type == "string":
		return "text"
	case p.Min <= -math.MaxFloat32 && p.Max >= math.MaxFloat32:
		return "a " + p.Type
	}
	format := func(v float64) string {
		if p.Type == "integer" {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	kind := p.Type
	if p.Type == "integer" {
		kind = "whole number"
	}
	if p.Open {
		return fmt.Sprintf("%s above %s and below %s", kind, format(p.Min), format(p.Max))
	}
	return fmt.Sprintf("%s from %s to %s", kind, format(p.Min), format(p.Max))
}

// defaultOf is a parameter's default as it is written.
func defaultOf(p learn.Param) string {
	if p.Default == "" {
		return "none"
	}
	return fmt.Sprint(p.Default)
}
