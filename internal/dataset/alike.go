package dataset

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// When two tables are taken for the same rows.
const (
	alikeLevel   = 1e-9 // bound on the probability that other rows of the same population agree so closely
	alikeMedian  = 0.6  // of the variance that other rows have: the middle one of all counts has less
	alikeOff     = 0.25 // share of the rows that lie elsewhere, from which a column of another name is another column
	alikeErrors  = 4    // standard errors of the number of sealed rows
	alikeTries   = 3    // columns that may be one of another name
	leastSpread  = 0.3  // variance of a place's count below which it tells nothing
	manySpread   = 25   // and above which it is taken for normal
	alikeTests   = 2 * 2 * (shapeColumns + shapeColumns*(shapeColumns-1)/2)
	thinRows     = 12
	leastSide    = 8
	alikeInsight = 0.3 // of the share of all rows that is there, so much of the sealed ones must be
)

// tilts are the exponents that the bound on a probability is looked for at.
var tilts = [...]float64{0.5, 2, 8, 32}

// An agreement is how closely two tables agree in the classes of the rows that lie in the same places.
type agreement struct {
	spread float64 // the sum over places of the squared difference of a count to what the other table says, in units of its variance
	places int     // that tell something
	log    float64 // logarithm of a bound on the probability of so small a spread, were the classes drawn anew: at most 0
}

// ratio is the spread beside that of rows drawn anew.
func (a agreement) ratio() float64 { return a.spread / float64(max(1, a.places)) }

// concord compares two tables by counts: 2·place + class. Given how many rows each table has in a place, and how many of both are of a
// class, rows drawn anew from the same population have a hypergeometric count of it, whatever decides where rows lie: so neither a
// balanced design nor persons who come again make tables alike, but their classes. With s rows of a and b in common the spread has the
// expectation 1 − 2s/(a+b). The bound on the probability is Chernoff's, exact for the hypergeometric moments and so for any number of rows.
func concord(a, b []int, flip bool) agreement {
	var out agreement
	var logs [len(tilts)]float64
	for p := 0; p < len(a); p += 2 {
		a0, a1, b0, b1 := a[p], a[p+1], b[p], b[p+1]
		if flip {
			b0, b1 = b1, b0
		}
		na, nb, m0, m1 := a0+a1, b0+b1, a0+b0, a1+b1
		m := float64(na + nb)
		if na == 0 || nb == 0 || m0 == 0 || m1 == 0 {
			continue
		}
		v := float64(na) / m * float64(nb) * float64(m0) / m * float64(m1) / (m - 1)
		if v < leastSpread {
			continue
		}
		mean := float64(na) * float64(m1) / m
		out.spread += (float64(a1) - mean) * (float64(a1) - mean) / v
		out.places++
		for k, t := range tilts {
			logs[k] += math.Log(tilted(na, nb, m0, m1, mean, v, t))
		}
	}
	for k, t := range tilts {
		out.log = min(out.log, t*out.spread+logs[k])
	}
	return out
}

// tilted is the expectation of exp(−t·d²/v), d the distance of a hypergeometric count to its mean.
func tilted(na, nb, m0, m1 int, mean, v, t float64) float64 {
	if v > manySpread {
		return 1 / math.Sqrt(1+2*t)
	}
	low, high := max(0, m1-nb), min(na, m1)
	from := min(max(int(mean), low), high)
	sum, all := 0.0, 0.0
	add := func(x int, w float64) {
		d := float64(x) - mean
		sum += w * math.Exp(-t*d*d/v)
		all += w
	}
	add(from, 1)
	for x, w := from, 1.0; x < high && w > 1e-12; x++ {
		w *= float64(na-x) / float64(x+1) * float64(m1-x) / float64(m0-na+x+1)
		add(x+1, w)
	}
	for x, w := from, 1.0; x > low && w > 1e-12; x-- {
		w *= float64(x) / float64(na-x+1) * float64(m0-na+x) / float64(m1-x+1)
		add(x-1, w)
	}
	return sum / all
}

// An alikeness is what all counts of two tables say together.
type alikeness struct {
	rows   [2]int
	log    float64   // the smallest
	ratios []float64 // of counts that tell something
	spread float64
	places int
	counts int
}

func (a *alikeness) add(x agreement) {
	if x.places < 8 {
		return
	}
	a.log = min(a.log, x.log)
	a.ratios = append(a.ratios, x.ratio())
	a.spread += x.spread
	a.places += x.places
	a.counts++
}

// same reports whether chance does not make other rows agree so closely.
func (a *alikeness) same() bool {
	if a.counts == 0 {
		return false
	}
	slices.Sort(a.ratios)
	return a.log+math.Log(alikeTests) < math.Log(alikeLevel) && a.ratios[a.counts/2] < alikeMedian
}

// shared is about how many rows both tables have, and the standard error.
func (a *alikeness) shared() (rows, err float64) {
	if a.counts == 0 {
		return 0, math.Inf(1)
	}
	ratio := a.spread / float64(a.places)
	half := float64(a.rows[0]+a.rows[1]) / 2
	return half * (1 - ratio), half * ratio * math.Sqrt(2*float64(a.counts)/float64(a.places))
}

// Alike looks for the rows of a sketch in a table that has them in another form: with numbers rounded, under new keys, with columns renamed,
// moved or dropped, or where rows repeat by nature. It compares the labels of rows that are still where they were, and how many rows of each
// class lie where. The answer is probable: of other rows of the same population it says so once in 10⁹ tables at most, provided that
// their classes are drawn anew. It finds nothing in a table without the target.
func (l *Look) Alike(ctx context.Context, s *Sketch, rows []int) (Sighting, error) {
	if got := l.seeOrder(s, rows); got.Seen() {
		return got, nil
	}
	var none Sighting
	if s.shape == nil || len(rows) == 0 || len(l.target) == 0 || !slices.Contains(l.cells.names, l.target[0]) {
		return none, nil
	}
	m, err := l.lay(ctx, s.shape, rows)
	if err != nil || len(m.axes) == 0 {
		return none, err
	}
	var best Sighting
	for _, flip := range []bool{false, true} {
		sealed, others, all := m.compare(s.shape, flip)
		found := 0.0
		if n, _ := sealed.shared(); sealed.same() {
			found = n
		} else if all.same() {
			of, e1 := all.shared()
			rest, e2 := others.shared()
			off := min(math.Hypot(e1, e2), math.Sqrt(float64(s.shape.rows[0])*float64(len(rows))*float64(all.counts)/float64(all.places)))
			if n := of - rest; n > alikeErrors*off && n/float64(s.shape.rows[0]) > alikeInsight*of/float64(s.shape.rows[0]+s.shape.rows[1]) {
				found = n
			}
		}
		if n := int(min(found+0.5, float64(s.shape.rows[0]))); n > best.Found {
			best = Sighting{Looked: s.shape.rows[0], Found: n, Probable: true}
		}
	}
	return best, nil
}

// A layout is rows of a table, counted where the axes of a shape put them.
type layout struct {
	axes    []int // of the shape that have a column here
	singles [][]int
	pairs   []tallyOf
	rows    int
}

// A tallyOf is the counts of a pair of axes, by pairOf.
type tallyOf struct {
	pair   int
	counts []int
}

// compare compares with the sealed rows of a shape, the others, and all.
func (m *layout) compare(s *shape, flip bool) (sealed, others, all alikeness) {
	sealed.rows, others.rows, all.rows = [2]int{s.rows[0], m.rows}, [2]int{s.rows[1], m.rows}, [2]int{s.rows[0] + s.rows[1], m.rows}
	each := func(side int, a, b, here []int) {
		for ; side > leastSide && thin(a, b, here); side /= 2 {
			a, b, here = halved(a, side), halved(b, side), halved(here, side)
		}
		sum := slices.Clone(a)
		for i, n := range b {
			sum[i] += n
		}
		sealed.add(concord(a, here, flip))
		others.add(concord(b, here, flip))
		all.add(concord(sum, here, flip))
	}
	for i, a := range m.axes {
		each(0, s.singles[0][a], s.singles[1][a], m.singles[i])
	}
	for _, p := range m.pairs {
		each(s.side(), s.pairs[0][p.pair], s.pairs[1][p.pair], p.counts)
	}
	return sealed, others, all
}

// thin reports whether there are too few rows in a place to tell much.
func thin(a, b, here []int) bool {
	rows, places := 0, 0
	for p := 0; p < len(here); p += 2 {
		if n := a[p] + a[p+1] + b[p] + b[p+1] + here[p] + here[p+1]; n > 0 {
			rows += n
			places++
		}
	}
	return rows < thinRows*places
}

// halved merges every two places of both columns of a pair.
func halved(t []int, side int) []int {
	out := make([]int, len(t)/4)
	for i := range side {
		for j := range side {
			for y := range 2 {
				out[2*(i/2*side/2+j/2)+y] += t[2*(i*side+j)+y]
			}
		}
	}
	return out
}

// lay finds the columns of a shape, by name or by where their values lie and how the classes go with them, and counts the rows.
func (l *Look) lay(ctx context.Context, s *shape, rows []int) (*layout, error) {
	f, err := l.table.Frame(ctx, l.target[:1], "")
	if err != nil {
		return nil, err
	}
	class := make([]int8, len(rows))
	for i, y := 0, halves(&f[0]); i < len(rows); i++ {
		class[i] = y[rows[i]]
	}
	m := &layout{rows: len(rows)}
	names := slices.DeleteFunc(slices.Clone(l.cells.names), func(n string) bool { return slices.Contains(l.target, n) || slices.Contains(l.key, n) })
	var unknown []int
	fine := map[int][]uint8{}
	for i, a := range s.axes {
		at := slices.Index(names, a.name)
		if at < 0 {
			unknown = append(unknown, i)
			continue
		}
		f, err := l.table.Frame(ctx, []string{a.name}, "")
		if err != nil {
			return nil, err
		}
		if a.numbers() != (f[0].Codes == nil) {
			continue
		}
		names = slices.Delete(names, at, at+1)
		fine[i] = a.places(&f[0], l.cells.of(a.name), rows)
	}
	if err := l.guess(ctx, s, unknown, names, rows, class, fine); err != nil {
		return nil, err
	}
	coarse := map[int][]uint8{}
	for i, a := range s.axes {
		if p, ok := fine[i]; ok {
			m.axes = append(m.axes, i)
			m.singles = append(m.singles, tallied(finePlaces, p, nil, class))
			coarse[i] = merged(p, a.beside(s.side()))
			for j := range i {
				if q, ok := coarse[j]; ok {
					m.pairs = append(m.pairs, tallyOf{pairOf(j, i), tallied(s.side(), q, coarse[i], class)})
				}
			}
		}
	}
	return m, nil
}

// guess finds columns of other names: those whose values lie alike, of these the one whose classes agree best.
func (l *Look) guess(ctx context.Context, s *shape, axes []int, names []string, rows []int, class []int8, fine map[int][]uint8) error {
	if len(axes) == 0 {
		return nil
	}
	some := make([]int, 0, 2*matchRows)
	for i := 0; i < len(rows); i += max(1, len(rows)/matchRows) {
		some = append(some, rows[i])
	}
	type candidate struct {
		axis   int
		name   string
		off    float64
		log    float64
		places []uint8
	}
	var all []candidate
	err := l.table.EachColumn(ctx, names, func(c *assay.Column) error {
		hash := l.cells.of(c.Name)
		var mine []candidate
		for _, i := range axes {
			a := s.axes[i]
			if a.numbers() != (c.Codes == nil) {
				continue
			}
			here := make([]int, 2*finePlaces)
			for _, p := range a.places(c, hash, some) {
				here[2*p]++
			}
			if off := displaced(here, s.singles[0][i], s.singles[1][i]); off < alikeOff {
				mine = append(mine, candidate{axis: i, name: c.Name, off: off})
			}
		}
		slices.SortStableFunc(mine, func(a, b candidate) int { return cmp.Compare(a.off, b.off) })
		for _, k := range mine[:min(len(mine), alikeTries)] {
			k.places = s.axes[k.axis].places(c, hash, rows)
			there := slices.Clone(s.singles[0][k.axis])
			for i, n := range s.singles[1][k.axis] {
				there[i] += n
			}
			here := tallied(finePlaces, k.places, nil, class)
			k.log = min(concord(there, here, false).log, concord(there, here, true).log)
			all = append(all, k)
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.log, b.log) })
	var taken []string
	for _, k := range all {
		if _, ok := fine[k.axis]; !ok && !slices.Contains(taken, k.name) {
			fine[k.axis], taken = k.places, append(taken, k.name)
		}
	}
	return err
}

// displaced is the share of the rows that lie elsewhere: half of the sum of the differences of the shares.
func displaced(here, a, b []int) float64 {
	var n, m float64
	for i := range here {
		n += float64(here[i])
		m += float64(a[i] + b[i])
	}
	sum := 0.0
	for i := 0; i < len(here); i += 2 {
		sum += math.Abs(float64(here[i]+here[i+1])/n - float64(a[i]+b[i]+a[i+1]+b[i+1])/m)
	}
	return sum / 2
}
