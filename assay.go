// Package assay is the glossary of Assay: the nouns that every package shares, the error codes, and the payload of each kind of evidence.
//
// Assay carries a model through its whole life and proves each step. A capability reads tables, checks schemas and writes
// evidence; a gate judges evidence against a policy and writes a verdict; a promotion re-reads that verdict and refuses if it is
// for another digest. This package holds the words of that sentence and nothing that acts: it imports the standard library only,
// opens no file, starts no goroutine and keeps no state.
package assay

// A Task says what a model predicts. It decides which metrics are defined, which splits are stratified and which learners apply.
type Task string

const (
	Binary     Task = "binary"     // one of two classes; the positive one is named
	Multiclass Task = "multiclass" // one of three or more classes
	Multilabel Task = "multilabel" // any subset of a fixed set of classes
	Regression Task = "regression" // a finite number
	Ranking    Task = "ranking"    // a score that orders the documents of a query by their relevance
)

// Classifies reports whether the task predicts classes rather than a number.
func (t Task) Classifies() bool { return t == Binary || t == Multiclass || t == Multilabel }

// A Stage is where a model version stands. The names are MLflow's.
type Stage string

const (
	StageNone       Stage = "none"
	StageStaging    Stage = "staging"
	StageProduction Stage = "production"
	StageArchived   Stage = "archived"
)
