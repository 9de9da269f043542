package eval

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// Limits of slices.
const (
	MaxSlices      = 500 // in one evaluation
	MaxSliceLevels = 60  // values of one column that become slices; the rest are gathered as "other"
)

// A sliceRows is one slice: its name and its rows, ascending.
type sliceRows struct {
	name string
	rows []int32
	def  int // the definition it is of
}

// parseSlices reads slice definitions against the columns of a frame. A definition is a column ("SEX": one slice for each value), a
// column with bands ("AGEP: 0-17, 18-29, 65+"), or an intersection of such ("SEX & AGEP: 0-17, 65+"). Rows without a value are a
// slice of their own, "SEX is missing".
func parseSlices(defs []string, f assay.Frame) ([]sliceRows, error) {
	var out []sliceRows
	var bad assay.Problems
	for d, def := range defs {
		var parts [][]sliceRows
		for _, term := range strings.Split(def, "&") {
			p, err := parseTerm(strings.TrimSpace(term), f)
			if err != nil {
				bad.Add("%s", err)
				continue
			}
			parts = append(parts, p)
		}
		if len(parts) == 0 {
			continue
		}
		cross := parts[0]
		for _, p := range parts[1:] {
			cross = intersect(cross, p)
		}
		for i := range cross {
			cross[i].def = d
		}
		out = append(out, cross...)
	}
	if len(out) > MaxSlices {
		bad.Add("%d slices; the limit is %d", len(out), MaxSlices)
	}
	return out, bad.Err(assay.Invalid, "evaluate.slices")
}

func parseTerm(term string, f assay.Frame) ([]sliceRows, error) {
	name, bands, banded := strings.Cut(term, ":")
	name = strings.TrimSpace(name)
	col := f.Column(name)
	if col == nil {
		return nil, fmt.Errorf("slice %q: no column %q", term, name)
	}
	if !banded {
		return levels(name, col), nil
	}
	if col.Floats == nil {
		return nil, fmt.Errorf("slice %q: column %q is text and has no bands", term, name)
	}
	return bandRows(term, name, bands, col)
}

// A SliceColumn is a column that a definition of slices names.
type SliceColumn struct {
	Name   string
	Banded bool // it is cut into bands: a number
}

// SliceColumns are the columns that definitions name, and adds what is wrong with the definitions whatever the data are.
func SliceColumns(defs []string, bad *assay.Problems) []SliceColumn {
	var out []SliceColumn
	for _, def := range defs {
		for _, term := range strings.Split(def, "&") {
			term = strings.TrimSpace(term)
			name, bands, banded := strings.Cut(term, ":")
			if name = strings.TrimSpace(name); name == "" {
				bad.Add("slice %q names no column", def)
				continue
			}
			out = append(out, SliceColumn{name, banded})
			if banded {
				if _, err := parseBands(term, bands); err != nil {
					bad.Add("%s", err)
				}
			}
		}
	}
	return out
}

// levels makes one slice of each value, in ascending order; beyond MaxSliceLevels the rarest values are gathered.
func levels(name string, c *assay.Column) []sliceRows {
	byValue := map[string][]int32{}
	order := map[string]float64{}
	for i := range c.Len() {
		label := name + " is missing"
		rank := math.Inf(1)
		if !c.Missing(i) {
			if c.Codes != nil {
				label, rank = name+" = "+c.Levels[c.Codes[i]], float64(c.Codes[i])
			} else {
				label, rank = name+" = "+numberText(c, c.Floats[i]), c.Floats[i]
			}
		}
		byValue[label] = append(byValue[label], int32(i))
		order[label] = rank
	}
	names := make([]string, 0, len(byValue))
	for l := range byValue {
		names = append(names, l)
	}
	slices.SortFunc(names, func(a, b string) int {
		if order[a] != order[b] {
			if order[a] < order[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	if len(names) > MaxSliceLevels {
		byCount := slices.Clone(names)
		slices.SortStableFunc(byCount, func(a, b string) int { return len(byValue[b]) - len(byValue[a]) })
		var rest []int32
		for _, l := range byCount[MaxSliceLevels-1:] {
			rest = append(rest, byValue[l]...)
		}
		slices.Sort(rest)
		keep := byCount[:MaxSliceLevels-1]
		names = slices.DeleteFunc(names, func(l string) bool { return !slices.Contains(keep, l) })
		other := fmt.Sprintf("%s is one of %d other values", name, len(byCount)-len(keep))
		byValue[other] = rest
		names = append(names, other)
	}
	out := make([]sliceRows, len(names))
	for i, l := range names {
		out[i] = sliceRows{name: l, rows: byValue[l]}
	}
	return out
}

func numberText(c *assay.Column, v float64) string {
	if c.Type == assay.TypeBoolean {
		return strconv.FormatBool(v != 0)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// A band is a range of values and how it is written.
type band struct {
	text   string
	lo, hi float64 // lo ≤ v ≤ hi
}

// parseBands reads "0-17, 18-29, 65+, <5"; the bands do not overlap.
func parseBands(term, bands string) ([]band, error) {
	var all []band
	for _, b := range strings.Split(bands, ",") {
		b = strings.TrimSpace(b)
		var lo, hi float64
		var err error
		switch {
		case strings.HasSuffix(b, "+"):
			hi = math.Inf(1)
			lo, err = strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(b, "+")), 64)
		case strings.HasPrefix(b, "<"):
			lo = math.Inf(-1)
			hi, err = strconv.ParseFloat(strings.TrimSpace(b[1:]), 64)
			hi = math.Nextafter(hi, math.Inf(-1))
		default:
			cut := strings.Index(b[min(1, len(b)):], "-") + 1
			if cut < 1 {
				return nil, fmt.Errorf("slice %q: band %q is none of LOW-HIGH, LOW+, <HIGH", term, b)
			}
			lo, err = strconv.ParseFloat(strings.TrimSpace(b[:cut]), 64)
			if err == nil {
				hi, err = strconv.ParseFloat(strings.TrimSpace(b[cut+1:]), 64)
			}
		}
		if err != nil || !(lo <= hi) {
			return nil, fmt.Errorf("slice %q: band %q is none of LOW-HIGH, LOW+, <HIGH", term, b)
		}
		for _, o := range all {
			if lo <= o.hi && o.lo <= hi {
				return nil, fmt.Errorf("slice %q: bands %q and %q overlap", term, o.text, b)
			}
		}
		all = append(all, band{b, lo, hi})
	}
	return all, nil
}

// bandRows puts each row into its band; a value in no band belongs to "outside the bands".
func bandRows(term, name, bands string, c *assay.Column) ([]sliceRows, error) {
	all, err := parseBands(term, bands)
	if err != nil {
		return nil, err
	}
	out := make([]sliceRows, len(all), len(all)+2)
	for i, b := range all {
		out[i].name = name + " " + b.text
	}
	outside, missing := sliceRows{name: name + " outside the bands"}, sliceRows{name: name + " is missing"}
rows:
	for i, v := range c.Floats {
		if math.IsNaN(v) {
			missing.rows = append(missing.rows, int32(i))
			continue
		}
		for j, b := range all {
			if v >= b.lo && v <= b.hi {
				out[j].rows = append(out[j].rows, int32(i))
				continue rows
			}
		}
		outside.rows = append(outside.rows, int32(i))
	}
	for _, s := range []sliceRows{outside, missing} {
		if len(s.rows) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// intersect crosses two partitions; empty crossings are left out.
func intersect(a, b []sliceRows) []sliceRows {
	var out []sliceRows
	for _, x := range a {
		for _, y := range b {
			var rows []int32
			for i, j := 0, 0; i < len(x.rows) && j < len(y.rows); {
				switch {
				case x.rows[i] < y.rows[j]:
					i++
				case x.rows[i] > y.rows[j]:
					j++
				default:
					rows = append(rows, x.rows[i])
					i++
					j++
				}
			}
			if len(rows) > 0 {
				out = append(out, sliceRows{name: x.name + " & " + y.name, rows: rows})
			}
		}
	}
	return out
}
