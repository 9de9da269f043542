package assay

import "strconv"

// Snapshot is the payload of KindSnapshot: one version of a data set. The subject is Content, so the same rows have one subject
// whether they lie in a CSV or a Parquet file.
type Snapshot struct {
	Name    string  `json:"name"` // the data set's name: the project's, or the base name of its file
	Format  string  `json:"format"`
	Files   []File  `json:"files" names:"blob if Stored"` // sorted by name
	Content Digest  `json:"content" names:"content"`      // of the rows, whatever their order and file format
	Rows    int64   `json:"rows"`
	Fields  []Field `json:"fields"`
	Stored  bool    `json:"stored"` // the bytes are in the blob store and can be restored
	Reading Reading `json:"reading"`
}

// Reading states how text was turned into a table, so that the same bytes are read the same way again.
type Reading struct {
	Encoding    string   `json:"encoding,omitempty"`    // utf-8, utf-16le, utf-16be, latin-1
	Compression string   `json:"compression,omitempty"` // gzip, zstd
	Delimiter   string   `json:"delimiter,omitempty"`
	Quote       string   `json:"quote,omitempty"`
	Header      bool     `json:"header,omitempty"`
	Nulls       []string `json:"nulls,omitempty"` // the texts that were read as missing
}

// Sentence says how the text was read: its encoding, what is between fields and whether the first record names the columns.
func (r Reading) Sentence() string {
	s := "as " + r.Encoding
	if r.Compression != "" {
		s += " from " + r.Compression
	}
	if r.Delimiter == "" {
		return s // JSON has neither delimiter nor header
	}
	s += " with " + strconv.Quote(r.Delimiter) + " between fields"
	if r.Header {
		return s + ", the first record names the columns"
	}
	return s + ", without a header"
}

// File is one file of a snapshot or an output of a run. Name is relative, with forward slashes.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Digest Digest `json:"digest"`
}

// Datasheet is the payload of KindDatasheet: what people say about a data set, and whether they said enough. The subject is the
// content of the data set.
type Datasheet struct {
	Fields   map[string]string `json:"fields"`  // sources, time_range, population, known_gaps, exclusions, imputations, licence, …
	Missing  []string          `json:"missing"` // required fields that are absent, empty or a placeholder
	Complete bool              `json:"complete"`
}

// SchemaRecord is the payload of KindSchema. The subject is Digest.
type SchemaRecord struct {
	Digest      Digest `json:"digest" names:"content"` // of the schema's canonical JSON
	Columns     int    `json:"columns"`
	Constraints int    `json:"constraints"`
	Document    Digest `json:"document" names:"blob"` // blob of the schema file
}

// Validation is the payload of KindValidation: a table checked against a schema. The subject is the content of the table.
type Validation struct {
	Schema      Digest      `json:"schema" names:"content"`
	Boundary    string      `json:"boundary"` // which boundary was checked: data, train, validation, test, predictions
	Rows        int64       `json:"rows"`
	Failing     int64       `json:"failing"` // rows with at least one violation
	Constraints int         `json:"constraints"`
	Violations  []Violation `json:"violations"` // every violated constraint, most violated first
	Verdict     Verdict     `json:"verdict"`
}

// Violation is one constraint that does not hold. It never holds a value of the data.
type Violation struct {
	Column   string  `json:"column,omitempty"` // empty for a constraint on the table
	Rule     string  `json:"rule"`             // type, required, range, set, length, pattern, unique, key, presence, condition, …
	Detail   string  `json:"detail"`           // the limit in words: "between 0 and 120"
	Count    int64   `json:"count"`
	Fraction float64 `json:"fraction"`           // of the rows that were checked
	Rows     []int64 `json:"rows"`               // the first row numbers, counted from 1
	Severity string  `json:"severity,omitempty"` // warning: reported, and the verdict stays; empty: the check fails
}

// Profile is the payload of KindProfile: that a data set was looked at, and what deserves attention. The full report is a blob.
type Profile struct {
	Rows       int64   `json:"rows"`
	Columns    int     `json:"columns"`
	Duplicates int64   `json:"duplicates"` // rows that equal an earlier row
	Missing    int64   `json:"missing"`    // cells
	Target     string  `json:"target,omitempty"`
	Alerts     []Alert `json:"alerts"`              // ranked, most important first
	Report     Digest  `json:"report" names:"blob"` // blob of the profile's JSON
}

// Alert is one finding about data.
type Alert struct {
	Code    string   `json:"code"` // leakage, imbalance, disguised_missing, constant, identifier, …
	Columns []string `json:"columns"`
	Effect  float64  `json:"effect"` // 0–1, what ranks the alerts
	Message string   `json:"message"`
	Advice  string   `json:"advice,omitempty"`
}

// Names of the parts of a split.
const (
	Train = "train"
	Valid = "validation"
	Test  = "test"
)

// Split is the payload of KindSplit. The subject is the content of the data set that was split.
type Split struct {
	By         string    `json:"by"`      // stratified, random, group, stratified_group, time, hash, predefined
	Columns    []string  `json:"columns"` // what it was split by: target, group, time or key columns
	Key        []string  `json:"key"`     // what identifies a row; empty: its content
	Seed       uint64    `json:"seed"`
	Parts      []Part    `json:"parts"`                             // train, validation, test
	Sealed     string    `json:"sealed"`                            // the part whose labels are withheld: test
	Assignment Digest    `json:"assignment" names:"blob"`           // of every (row id, part) pair in canonical order
	Sketch     Digest    `json:"sketch,omitempty" names:"blob"`     // blob: hashes of the cells of sealed rows, and counts of all rows by one and two columns and the target
	Alike      []Alike   `json:"alike,omitempty"`                   // sealed sets that are these rows in another form, recognised but not by content: the ledger counts on
	Options    Digest    `json:"options,omitempty" names:"content"` // of the options: equal ones divide the same rows in the same order equally
	Findings   []Leakage `json:"findings"`                          // every leakage check that ran, passed or not
}

// Alike is a sealed set that was recognised in a split: reads of its rows count as reads of the rows of the split.
type Alike struct {
	Split  Digest `json:"split" names:"evidence"`
	Rows   int64  `json:"rows"`             // of the set, about how many were recognised
	Sealed bool   `json:"sealed"`           // among the rows that this split seals; false: among all
	By     string `json:"by"`               // cells: row by row; counts: probably, by how many rows of each class lie where
	Reason string `json:"reason,omitempty"` // why it was split all the same
}

// Part is one side of a split.
type Part struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	IDs  Digest `json:"ids" names:"content"` // of the part's row ids in canonical order
	// Written is the digest of what the part's file holds: the names of its columns and its rows in their order, whatever the bytes.
	// The file of the sealed part holds no target. Empty in a split of a version that did not record it.
	Written Digest           `json:"written,omitempty" names:"content"`
	Labels  map[string]int64 `json:"labels,omitempty"` // rows per class; not disclosed for the sealed part when it decides nothing
}

// Leakage is one leakage check between the parts of a split, or between a feature and the target.
type Leakage struct {
	Check    string   `json:"check"` // key, entity, duplicates, near_duplicates, conflicts, time, index, target
	Columns  []string `json:"columns,omitempty"`
	Observed Number   `json:"observed"`
	Expected Number   `json:"expected"` // what chance alone gives; null where chance gives nothing
	Verdict  Verdict  `json:"verdict"`
	Message  string   `json:"message"`
}
