package learn

import (
	"fmt"
	"math"
	"sort"

	"github.com/assay-ml/assay"
)

// A preparation is how the columns of a table become numbers, as fitted on the training rows. encode computes it for training and
// the emit functions write the same as ONNX nodes; both work on inputs rounded to float32.
type preparation struct {
	columns     []string // in the order of the frame
	numeric     []numericColumn
	categorical []categoricalColumn
}

type numericColumn struct {
	name   string
	double bool    // taken as double and centred before rounding, because float32 is too coarse for its values
	centre float64 // what is subtracted from a double column
	fill   float64 // for missing values; a float32
	gaps   bool    // the training rows have missing values
}

type categoricalColumn struct {
	name    string
	text    bool
	words   []string  // keys of a text column
	codes   []float32 // keys of a numeric column
	gap     float32   // numeric column: the key that stands for missing
	place   []int64   // of each key, in [0, levels)
	levels  int
	unknown int64 // place of what is not a key: -1, or the shared place of rare categories
	refuse  bool  // an unknown category is an error
}

// A design is training data as numbers: numeric columns rounded to float32, NaN where missing, and category places, -1 for none.
type design struct {
	rows        int
	numeric     [][]float64
	categorical [][]int32
	levels      []int
}

const maxExactFloat32 = 1 << 24

func fitPreparation(x assay.Frame, spec Spec) (*preparation, error) {
	p := &preparation{}
	var problems assay.Problems
	code := assay.Rejected // the answer of the data is no
	for _, name := range spec.Categorical {
		if x.Column(name) == nil {
			code = assay.Invalid
			problems.Add("categorical column %q does not exist", name)
		}
	}
	for i := range x {
		c := &x[i]
		p.columns = append(p.columns, c.Name)
		switch {
		case c.Codes != nil:
			p.categorical = append(p.categorical, fitText(c, spec.Prepare))
		case contains(spec.Categorical, c.Name):
			cat, err := fitCoded(c, spec.Prepare)
			if err != nil {
				problems.Add("column %q %v", c.Name, err)
			}
			p.categorical = append(p.categorical, cat)
		default:
			num, err := fitNumeric(c, spec.Prepare.Impute)
			if err != nil {
				problems.Add("column %q %v", c.Name, err)
			}
			p.numeric = append(p.numeric, num)
		}
	}
	return p, problems.ErrTry(code, "the table cannot be learned from", "leave these columns out (data.exclude in assay.yaml), or mend their values")
}

// countInfinite counts values that no model can be fitted on.
func countInfinite(x []float64) int {
	n := 0
	for _, v := range x {
		if math.Abs(v) > math.MaxFloat32 {
			n++
		}
	}
	return n
}

func fitNumeric(c *assay.Column, impute string) (numericColumn, error) {
	out := numericColumn{name: c.Name}
	if n := countInfinite(c.Floats); n > 0 {
		return out, fmt.Errorf("has %d values that are infinite or beyond the range of float32", n)
	}
	largest, sum, seen := 0.0, 0.0, 0
	for _, v := range c.Floats {
		if v == v {
			largest = max(largest, math.Abs(v))
			sum += v
			seen++
		}
	}
	if whole := c.Type != assay.TypeNumber; whole && largest > maxExactFloat32 {
		out.double, out.centre = true, math.Round(sum/float64(seen))
	}
	out.gaps = seen < len(c.Floats)
	x := make([]float64, 0, seen)
	for _, v := range c.Floats {
		if v == v {
			x = append(x, out.round(v))
		}
	}
	out.fill = float64(float32(imputed(x, impute)))
	return out, nil
}

// imputed returns what stands in for missing values; 0 for a column without any value.
func imputed(x []float64, how string) float64 {
	if len(x) == 0 || how == "zero" {
		return 0
	}
	if how == "mean" {
		return sumOf(x) / float64(len(x))
	}
	sort.Float64s(x)
	if how != "most_frequent" {
		n := len(x)
		return x[(n-1)/2]/2 + x[n/2]/2
	}
	best, bestRun, run := x[0], 0, 0
	for i, v := range x {
		if run++; i > 0 && v != x[i-1] {
			run = 1
		}
		if run > bestRun {
			best, bestRun = v, run
		}
	}
	return best
}

// round returns the value that the model sees in the place of v.
func (c *numericColumn) round(v float64) float64 { return float64(float32(v - c.centre)) }

func fitText(c *assay.Column, prep Prepare) categoricalColumn {
	out := categoricalColumn{name: c.Name, text: true}
	count := make([]int, len(c.Levels))
	empty := 0
	for _, code := range c.Codes {
		if code < 0 || c.Levels[code] == "" {
			empty++ // a missing string reaches the model as ""
		} else {
			count[code]++
		}
	}
	var keys []string
	var counts []int
	if empty > 0 {
		keys, counts = append(keys, ""), append(counts, empty)
	}
	for i, n := range count {
		if n > 0 {
			keys, counts = append(keys, c.Levels[i]), append(counts, n)
		}
	}
	out.words = keys
	out.setPlaces(counts, prep)
	return out
}

func fitCoded(c *assay.Column, prep Prepare) (categoricalColumn, error) {
	out := categoricalColumn{name: c.Name}
	count := map[float32]int{}
	missing := 0
	for _, v := range c.Floats {
		if v != v {
			missing++
			continue
		}
		if math.Abs(v) > maxExactFloat32 {
			return out, fmt.Errorf("is categorical and has codes beyond ±2^24; store it as text")
		}
		count[float32(v)]++
	}
	for v := range count {
		out.codes = append(out.codes, v)
	}
	sort.Slice(out.codes, func(i, j int) bool { return out.codes[i] < out.codes[j] })
	counts := make([]int, 0, len(out.codes)+1)
	for _, v := range out.codes {
		counts = append(counts, count[v])
	}
	out.gap = -1
	if len(out.codes) > 0 {
		out.gap = min(out.codes[0]-1, -1)
	}
	if missing > 0 {
		out.codes, counts = append(out.codes, out.gap), append(counts, missing)
	}
	out.setPlaces(counts, prep)
	return out, nil
}

// setPlaces gives each key a place of its own, in order, and the rare ones a shared place after those.
func (c *categoricalColumn) setPlaces(counts []int, prep Prepare) {
	most := prep.MaxLevels
	if most == 0 {
		most = DefaultMaxLevels
	}
	order := make([]int, len(counts))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return counts[order[a]] > counts[order[b]] })
	kept := make([]bool, len(counts))
	rare := false
	for rank, i := range order {
		kept[i] = rank < most && counts[i] >= prep.RareBelow
		rare = rare || !kept[i]
	}
	c.place = make([]int64, len(counts))
	for i := range counts {
		if kept[i] {
			c.place[i] = int64(c.levels)
			c.levels++
		}
	}
	c.unknown, c.refuse = -1, prep.Unknown == "error"
	if !rare {
		return
	}
	for i := range counts {
		if !kept[i] {
			c.place[i] = int64(c.levels)
		}
	}
	if prep.Unknown == "rare" {
		c.unknown = int64(c.levels)
	}
	c.levels++
}

// encode turns the rows of a frame into numbers; its columns are those that the preparation was fitted on.
func (p *preparation) encode(x assay.Frame) (*design, error) {
	d := &design{rows: x.Rows()}
	for i := range p.numeric {
		c := &p.numeric[i]
		col := x.Column(c.name)
		if col == nil || col.Floats == nil {
			return nil, assay.Errorf(assay.Invalid, "column %q is missing or holds no numbers", c.name)
		}
		out := make([]float64, len(col.Floats))
		for r, v := range col.Floats {
			out[r] = c.round(v)
		}
		d.numeric = append(d.numeric, out)
	}
	for i := range p.categorical {
		c := &p.categorical[i]
		col := x.Column(c.name)
		if col == nil || (col.Codes != nil) != c.text {
			return nil, assay.Errorf(assay.Invalid, "column %q is missing or of another type", c.name)
		}
		d.categorical = append(d.categorical, c.places(col))
		d.levels = append(d.levels, c.levels)
	}
	return d, nil
}

// places returns the place of each row's category, -1 for one that has none.
func (c *categoricalColumn) places(col *assay.Column) []int32 {
	out := make([]int32, col.Len())
	if c.text {
		table := indexOf(c.words)
		find := func(word string) int32 {
			if k, ok := table[word]; ok {
				return int32(c.place[k])
			}
			return int32(c.unknown)
		}
		byLevel := make([]int32, len(col.Levels))
		for i, w := range col.Levels {
			byLevel[i] = find(w)
		}
		missing := find("")
		for r, code := range col.Codes {
			if out[r] = missing; code >= 0 {
				out[r] = byLevel[code]
			}
		}
		return out
	}
	table := indexOf(c.codes)
	for r, v := range col.Floats {
		key := float32(v)
		if v != v {
			key = c.gap
		}
		out[r] = int32(c.unknown)
		if k, ok := table[key]; ok {
			out[r] = int32(c.place[k])
		}
	}
	return out
}

// declare adds the input columns to a graph.
func (p *preparation) declare(b *graphBuilder) {
	kind := map[string]ElementType{}
	for _, c := range p.numeric {
		if kind[c.name] = Float32; c.double {
			kind[c.name] = Float64
		}
	}
	for _, c := range p.categorical {
		if kind[c.name] = Float32; c.text {
			kind[c.name] = String
		}
	}
	for _, name := range p.columns {
		b.column(name, kind[name])
	}
}

// emitNumeric writes the numeric columns side by side as [rows, columns] and returns that tensor's name, "" for none.
func (p *preparation) emitNumeric(b *graphBuilder) string {
	var parts []string
	for _, c := range p.numeric {
		in := c.name
		if c.double {
			centre := b.constant("centre", &Tensor{Type: Float64, Shape: []int{1}, Doubles: []float64{c.centre}})
			in = b.node("centred", "", "Sub", []string{in, centre})
			in = b.node("rounded", "", "Cast", []string{in}, intAttr("to", int64(Float32)))
		}
		parts = append(parts, in)
	}
	return b.concat("numbers", parts)
}

// concat joins matrices along their columns.
func (b *graphBuilder) concat(stem string, parts []string) string {
	if len(parts) < 2 {
		return append(parts, "")[0]
	}
	return b.node(stem, "", "Concat", parts, intAttr("axis", 1))
}

// emitImputed replaces missing numbers.
func (p *preparation) emitImputed(b *graphBuilder, numbers string) string {
	fill := make([]float32, len(p.numeric))
	for i, c := range p.numeric {
		fill[i] = float32(c.fill)
	}
	return b.node("imputed", domainML, "Imputer", []string{numbers}, floatsAttr("imputed_value_floats", fill), floatAttr("replaced_value_float", float32(math.NaN())))
}

// emitPlaces writes the place of each row's category in column i as an int64 matrix [rows, 1].
func (p *preparation) emitPlaces(b *graphBuilder, i int) string {
	c := &p.categorical[i]
	return c.emitLookup(b, intsAttr("values_int64s", c.place), intAttr("default_int64", c.unknown))
}

// emitCodes writes the same as a float matrix, NaN for a category without a place.
func (p *preparation) emitCodes(b *graphBuilder, i int) string {
	c := &p.categorical[i]
	values := make([]float32, len(c.place))
	for k, v := range c.place {
		values[k] = float32(v)
	}
	fallback := float32(math.NaN())
	if c.unknown >= 0 {
		fallback = float32(c.unknown)
	}
	return c.emitLookup(b, floatsAttr("values_floats", values), floatAttr("default_float", fallback))
}

func (c *categoricalColumn) emitLookup(b *graphBuilder, values, fallback *attribute) string {
	if c.text {
		return b.node("category", domainML, "LabelEncoder", []string{c.name}, stringsAttr("keys_strings", c.words), values, fallback)
	}
	in := b.node("code", domainML, "Imputer", []string{c.name}, floatsAttr("imputed_value_floats", []float32{c.gap}), floatAttr("replaced_value_float", float32(math.NaN())))
	return b.node("category", domainML, "LabelEncoder", []string{in}, floatsAttr("keys_floats", c.codes), values, fallback)
}

// emitOneHot writes one 0/1 column a level for every categorical column, side by side, and returns that tensor's name, "" for none.
func (p *preparation) emitOneHot(b *graphBuilder) string {
	var parts []string
	for i, c := range p.categorical {
		if c.levels == 0 {
			continue
		}
		cats := make([]int64, c.levels)
		for k := range cats {
			cats[k] = int64(k)
		}
		zeros := int64(1)
		if c.refuse {
			zeros = 0
		}
		hot := b.node("onehot", domainML, "OneHotEncoder", []string{p.emitPlaces(b, i)}, intsAttr("cats_int64s", cats), intAttr("zeros", zeros))
		parts = append(parts, b.node("flat", "", "Flatten", []string{hot}, intAttr("axis", 1)))
	}
	return b.concat("categories", parts)
}
