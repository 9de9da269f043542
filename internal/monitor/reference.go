package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// keptCategories bounds what a grouped count of a reference brings into memory: the top ones and the tail that stat keeps.
const keptCategories = stat.DefaultTopCategories + stat.MaxTailCategories

// scans is how many columns are looked at side by side.
const scans = 4

// Freeze makes a reference of columns of a relation: cells at its quantiles for numbers and times, at its frequent values for everything else and for
// the columns that categorical names; of nested values, at their kinds. Every step is an aggregate of the engine. Bytes and columns without a
// value come back among the names that were left out.
func Freeze(ctx context.Context, t *table.Table, columns, categorical []string) (*Document, []string, error) {
	d, out, err := freeze(ctx, t, columns, categorical)
	if err != nil {
		return nil, nil, err
	}
	d.Features = slices.DeleteFunc(d.Features, func(f Feature) bool {
		if f.empty() {
			out = append(out, f.Name)
		}
		return f.empty()
	})
	if len(d.Features) == 0 {
		return nil, nil, assay.Errorf(assay.Rejected, "no column of the reference has a value")
	}
	return d, out, nil
}

// freeze is Freeze for columns that need not have a value: of one without any is watched whether that stays so.
func freeze(ctx context.Context, t *table.Table, columns, categorical []string) (*Document, []string, error) {
	d := &Document{Format: referenceFormat, Rows: t.Rows()}
	all := make([]*Feature, len(columns))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(scans)
	for i, name := range columns {
		f, ok := t.Field(name)
		if !ok {
			return nil, nil, assay.Errorf(assay.NotFound, "the reference has no column %q", name)
		}
		if f.Type == assay.TypeBinary {
			continue
		}
		g.Go(func() (err error) {
			x := &Feature{Name: f.Name, Type: f.Type}
			if byValue(f.Type) || slices.Contains(categorical, f.Name) {
				err = x.freezeCategories(gctx, t)
			} else {
				err = x.freezeEdges(gctx, t)
			}
			all[i] = x
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	out := []string{}
	for i, x := range all {
		if x == nil {
			out = append(out, columns[i])
			continue
		}
		d.Features = append(d.Features, *x)
	}
	counts, err := count(ctx, t, d.Features, "0::BIGINT")
	if err != nil {
		return nil, nil, err
	}
	for i := range d.Features {
		f := &d.Features[i]
		f.Counts = Counts{Cells: make([]int64, f.Cells())}
		if len(counts) > 0 {
			f.Counts = counts[0].columns[i]
		}
	}
	return d, out, nil
}

// empty reports whether no row of the reference has a value of the column.
func (f *Feature) empty() bool { return f.Categories != nil && len(f.Categories.Values) == 0 }

func byValue(t assay.Type) bool {
	return t == assay.TypeString || t == assay.TypeBoolean || t == assay.TypeJSON
}

// freezeEdges finds the values at which FreezeEdges would cut: a cumulative count over the distinct values, of which only those at
// a quantile or with a large share leave the engine.
func (f *Feature) freezeEdges(ctx context.Context, t *table.Table) error {
	const cells = stat.DefaultEdgeCells
	value, _ := numeric(f, assay.Field{Name: f.Name, Type: f.Type})
	values := "(SELECT " + value + " AS v FROM " + t.Relation() + ") WHERE isfinite(v)"
	var s stat.EdgeSummary
	var tails any
	probabilities := []float64{0.25, 0.75, 0.1, 0.9, 0.05, 0.95, 0.01, 0.99}
	r, err := t.Query(ctx, "SELECT count(*), min(v), max(v), median(v), quantile_cont(v, [0.25, 0.75, 0.1, 0.9, 0.05, 0.95, 0.01, 0.99]) FROM (SELECT v + 0.0 AS v FROM "+values+")")
	if err != nil {
		return err
	}
	defer r.Close()
	if !r.Next() {
		return r.Err()
	}
	if err := r.Scan(&s.Rows, &s.Min, &s.Max, &s.Median, &tails); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	if s.Rows == 0 {
		f.Categories, err = stat.FreezeCategories(nil, 0)
		return err
	}
	q := map[float64]float64{}
	if list, ok := tails.([]any); ok {
		for i, p := range probabilities {
			q[p], _ = list[i].(float64)
		}
	}
	quantile := func(p float64) float64 { return q[math.Round(p*100)/100] }
	std := 0.0
	if quantile(0.01) == quantile(0.99) { // nearly all values are one
		unit := math.Max(math.Max(math.Abs(s.Min), math.Abs(s.Max)), 1e-300)
		r, err := t.Query(ctx, "SELECT stddev_samp(v / ?) FROM (SELECT v FROM "+values+")", unit)
		if err != nil {
			return err
		}
		defer r.Close()
		if r.Next() {
			err = r.Scan(&std)
		}
		if err = cmp.Or(err, r.Close()); err != nil {
			return err
		}
		std *= unit
	}
	s.Scale = stat.RobustScale(quantile, std)
	few := false
	r, err = t.Query(ctx, fmt.Sprintf(`WITH g AS MATERIALIZED (SELECT v + 0.0 AS v, count(*) AS c FROM %s GROUP BY 1),
s AS (SELECT v, c, sum(c) OVER (ORDER BY v ROWS UNBOUNDED PRECEDING)::BIGINT AS j FROM g)
SELECT v, c * %d >= n, k FROM s, (SELECT count(*) AS k, sum(c)::BIGINT AS n FROM g) WHERE k <= %d OR c * %d >= n OR (j * %d) // n > ((j - c) * %d) // n ORDER BY v`, values, cells, cells, cells, cells, cells))
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var v float64
		var frequent bool
		var k int64
		if err := r.Scan(&v, &frequent, &k); err != nil {
			return err
		}
		if few = k <= cells; few || frequent {
			s.Atoms = append(s.Atoms, v)
		} else {
			s.Cuts = append(s.Cuts, v)
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	f.Edges, err = stat.NewEdges(s)
	return err
}

// freezeCategories counts the values; what is beyond the memory of stat.Categories stays in the engine.
func (f *Feature) freezeCategories(ctx context.Context, t *table.Table) error {
	value, _ := category(f, assay.Field{Name: f.Name, Type: f.Type})
	r, err := t.Query(ctx, fmt.Sprintf(`WITH g AS MATERIALIZED (SELECT v, count(*) AS c FROM (SELECT %s AS v FROM %s) WHERE v IS NOT NULL GROUP BY 1)
SELECT v, c, n, once FROM g, (SELECT sum(c)::BIGINT AS n, count(*) FILTER (c = 1) AS once FROM g) ORDER BY c DESC, v LIMIT %d`, value, t.Relation(), keptCategories+1))
	if err != nil {
		return err
	}
	defer r.Close()
	counts := map[string]int64{}
	var rows, once int64
	for r.Next() {
		var v string
		var n int64
		if err := r.Scan(&v, &n, &rows, &once); err != nil {
			return err
		}
		counts[v] = n
	}
	if err := r.Close(); err != nil {
		return err
	}
	f.Categories, err = stat.FreezeCategories(counts, 0)
	if err != nil {
		return err
	}
	f.Categories.Rows, f.Categories.Once = rows, once
	return nil
}

// Labels names the cells of a feature, for people.
func (f *Feature) Labels() []string {
	out := make([]string, 0, f.Cells())
	if f.Categories != nil {
		return append(append(out, f.Categories.Values...), "rarer ones", "never seen before")
	}
	show := func(v float64) string { return strconv.FormatFloat(v+0, 'g', 6, 64) }
	if f.Type == assay.TypeDate || f.Type == assay.TypeTimestamp {
		show = func(v float64) string { return time.Unix(int64(v), 0).UTC().Format("2006-01-02") }
	}
	u := f.Edges.Upper
	for i := range f.Cells() {
		switch _, atom := slices.BinarySearch(f.Edges.Atoms, i); {
		case i == 0:
			out = append(out, "below "+show(math.Nextafter(u[0], math.Inf(1)))) // the edge lies just below the least value
		case i == len(u):
			out = append(out, "above "+show(u[i-1]))
		case atom:
			out = append(out, show(u[i]))
		default:
			out = append(out, show(math.Nextafter(u[i-1], math.Inf(1)))+" to "+show(u[i]))
		}
	}
	return out
}
