package dataset

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// Imbalanced is the imbalance of classes from which a profile says what follows.
const Imbalanced = 0.2

// describeTarget decides the task and counts the classes.
func (p *profiler) describeTarget() {
	e := p.columns[p.target]
	t := &TargetProfile{Column: e.Name, Task: p.options.Task, Missing: missing(e), Imbalance: assay.Number(math.NaN()), Ratio: assay.Number(math.NaN())}
	p.report.Target = t
	if t.Task == "" {
		switch {
		case e.Distinct <= 2:
			t.Task = assay.Binary
		case e.Type == assay.TypeNumber || e.Type.Numeric() && e.Distinct > MaxClasses || e.Codes.Len() == 0 || e.Distinct > 10*MaxClasses:
			t.Task = assay.Regression
		default:
			t.Task = assay.Multiclass
		}
	}
	if !t.Task.Classifies() {
		return
	}
	if e.Ranked || e.Codes.Len() == 0 || len(e.Counts) > 10*MaxClasses {
		t.Task = assay.Regression
		p.report.Limits = append(p.report.Limits, fmt.Sprintf("the target has %s distinct values: it is not looked at as classes", grouped(e.Distinct)))
		return
	}
	n, k := float64(e.Rows-missing(e)), float64(len(e.Counts))
	entropy, most, least := 0.0, int64(0), int64(math.MaxInt64)
	for i, c := range e.Counts {
		f := float64(c) / n
		entropy -= f * math.Log(f)
		most, least = max(most, c), min(least, c)
		t.Classes = append(t.Classes, Class{valueText(e, i), c, assay.Number(f), assay.Number(n / (k * float64(c)))})
	}
	if len(t.Classes) < 2 {
		t.Consequences = []string{"there is one class only: nothing can be learned and nothing can be evaluated"}
		return
	}
	t.Imbalance, t.Ratio = assay.Number(1-entropy/math.Log(k)), assay.Number(float64(most)/float64(least))
	t.Consequences = []string{"split by stratum (split.by: stratified), so that each part has the same shares"}
	if t.Imbalance >= Imbalanced {
		t.Consequences = append(t.Consequences,
			fmt.Sprintf("a model that always says the most frequent class is right on %.1f %% of the rows: judge by balanced_accuracy_score, average_precision_score and log_loss, not by accuracy", 100*float64(most)/n),
			"train.class_weight: balanced gives each class the same total weight; the weights are in the table. It shifts probabilities: calibrate, or choose the threshold on validation rows")
	}
	if least < 50 {
		t.Consequences = append(t.Consequences, fmt.Sprintf("the rarest class has %s rows: intervals of anything about it will be wide", grouped(least)))
	}
}

// valueText writes the distinct value of index i as a person would read it.
func valueText(e *table.Examined, i int) string {
	if e.Texts != nil {
		return e.Texts[i]
	}
	if e.Type == assay.TypeBoolean {
		return strconv.FormatBool(e.Values[i] == 1)
	}
	return strconv.FormatFloat(e.Values[i], 'g', -1, 64)
}

// targetValues reads the target where it is a number to predict.
func (p *profiler) targetValues(ctx context.Context) error {
	e := p.columns[p.target]
	if p.report.Target.Task.Classifies() || e.Numbers == nil {
		return nil
	}
	f, err := p.table.Frame(ctx, []string{e.Name}, "")
	if err == nil {
		p.y = f[0].Floats
	}
	return err
}

// relateColumn measures how much a column tells about the target by itself.
func (p *profiler) relateColumn(i int) {
	if p.target < 0 || i == p.target {
		return
	}
	t, e := p.report.Target, p.columns[i]
	if t.Task.Classifies() && len(t.Classes) < 2 || !t.Task.Classifies() && p.y == nil {
		return
	}
	nan := assay.Number(math.NaN())
	r := &Relation{Strength: nan, AUC: nan, CramersV: nan, Eta: nan, Spearman: nan, MissingIn: nan, MissingOut: nan}
	p.rel[i] = r
	if t.Task.Classifies() {
		p.relateClasses(i, e, r)
		p.giveaway(e, r)
		return
	}
	p.relateNumber(i, e, r)
	p.bands[i] = p.bandsOf(e)
	if y := p.columns[p.target]; len(p.columns) > PairColumns && quantitative(e) && quantitative(y) {
		// Which columns are compared with each other depends on it; otherwise it comes with the pairs.
		r.rankBy(p.rerank.spearman(e, y))
	}
	p.giveaway(e, r)
}

// rankBy takes a rank correlation for the strength of the relation unless that is stronger already.
func (r *Relation) rankBy(spearman float64) {
	r.Spearman = assay.Number(spearman)
	if s := assay.Number(math.Abs(spearman)); !math.IsNaN(float64(s)) && (!(r.Strength > s) || s >= GiveawayLimit && r.Measure == MeasureVariance) {
		r.Strength, r.Measure = s, "spearman"
	}
}

// relateClasses counts the column's values by class of the target.
func (p *profiler) relateClasses(i int, e *table.Examined, r *Relation) {
	target := p.columns[p.target]
	classes := len(target.Counts)
	width := classes + 1
	power := math.NaN()
	if e.Codes.Len() > 0 && !e.Ranked {
		k := len(e.Counts)
		joint := make([]uint32, (k+1)*width)
		countJoint(&e.Codes, &target.Codes, width, joint)
		if k <= CategoryValues {
			r.CramersV = assay.Number(cramer(joint, k, classes, width))
		}
		if classes == 2 {
			power = leaveOneOut(joint, k, width)
			p.rates[i] = rates(e, func(code int) (int64, float64) {
				a, b := joint[code*width+1], joint[code*width+2]
				return int64(a) + int64(b), float64(b) / float64(a+b)
			})
		}
		p.missingByClass(e, r, joint[:width])
	} else if e.Ranked && missing(e) > 0 {
		row := make([]uint32, width)
		for j, n := 0, e.Codes.Len(); j < n; j++ {
			if e.Codes.At(j) == 0 {
				row[target.Codes.At(j)]++
			}
		}
		p.missingByClass(e, r, row)
	}
	if e.Numbers != nil && e.Groups != nil {
		r.Eta = assay.Number(eta(e))
		if !math.IsNaN(e.AUC) {
			a := math.Max(e.AUC, 1-e.AUC)
			if math.IsNaN(power) || a > power {
				power = a
			}
		}
	}
	if classes == 2 && !math.IsNaN(power) {
		r.AUC = assay.Number(math.Max(power, 0.5))
		r.Strength, r.Measure = 2*r.AUC-1, "auc"
		return
	}
	switch {
	case !math.IsNaN(float64(r.CramersV)) && !(r.Eta > r.CramersV):
		r.Strength, r.Measure = r.CramersV, "cramers_v"
	case !math.IsNaN(float64(r.Eta)):
		r.Strength, r.Measure = r.Eta, "correlation_ratio"
	}
}

// eta is the square root of the share of a column's variance that lies between the classes.
func eta(e *table.Examined) float64 {
	var n, total, between, within float64
	for _, g := range e.Groups {
		if g.Count > 0 {
			n += float64(g.Count)
			total += float64(g.Sum)
		}
	}
	for _, g := range e.Groups {
		if g.Count > 0 {
			d := float64(g.Mean) - total/n
			between += float64(g.Count) * d * d
		}
		if g.Count > 1 {
			within += float64(g.Count-1) * float64(g.Variance)
		}
	}
	if !(between+within > 0) || math.IsInf(between+within, 0) {
		return math.NaN()
	}
	return math.Sqrt(between / (between + within))
}

// missingByClass compares the second class's share where the column is missing with that where it is not. row holds the classes of the
// rows where it is missing, from 1.
func (p *profiler) missingByClass(e *table.Examined, r *Relation, row []uint32) {
	counts := p.columns[p.target].Counts
	if len(counts) != 2 || missing(e) == 0 {
		return
	}
	in, inAll := float64(row[2]), float64(row[1])+float64(row[2])
	out, outAll := float64(counts[1])-in, float64(counts[0]+counts[1])-inAll
	r.MissingIn, r.MissingOut = assay.Number(in/inAll), assay.Number(out/outAll)
	if inAll > 0 && outAll > 0 {
		d := stat.ProportionDifference(in, inAll, out, outAll, 0.95, stat.Newcombe)
		r.Missing = &d
	}
}

// leaveOneOut is how well the share of the second class among the other rows with the same value (missing is a value) orders two
// classes. Leaving the row itself out gives an id no power; two rows with one value are a tie.
func leaveOneOut(joint []uint32, k, width int) float64 {
	type score struct{ s, a, b float64 }
	var first, second float64
	for code := 0; code <= k; code++ {
		first += float64(joint[code*width+1])
		second += float64(joint[code*width+2])
	}
	if first == 0 || second == 0 {
		return math.NaN()
	}
	prior := second / (first + second)
	var scores []score
	var area, below float64
	for code := 0; code <= k; code++ {
		a, b := float64(joint[code*width+1]), float64(joint[code*width+2])
		area += a * b / 2 // left out, a row of the second class scores below one of the first with the same value
		if a > 0 {
			scores = append(scores, score{(b + prior) / (a + b), a, 0})
		}
		if b > 0 {
			scores = append(scores, score{(b - 1 + prior) / (a + b), 0, b})
		}
	}
	sort.Slice(scores, func(i, j int) bool { return scores[i].s < scores[j].s })
	for i := 0; i < len(scores); {
		j := i
		var a, b float64
		for ; j < len(scores) && scores[j].s == scores[i].s; j++ {
			a, b = a+scores[j].a, b+scores[j].b
		}
		area += b * (below + a/2)
		below += a
		i = j
	}
	return area / first / second
}

// rates gives the target at the ten most frequent values.
func rates(e *table.Examined, at func(code int) (int64, float64)) []ValueRate {
	order := make([]int, len(e.Counts))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return e.Counts[order[a]] > e.Counts[order[b]] })
	if len(order) > table.DefaultTop {
		order = order[:table.DefaultTop]
	}
	if len(order) > 0 && e.Counts[order[0]] == 1 {
		return nil
	}
	var out []ValueRate
	for _, i := range order {
		n, rate := at(i + 1)
		out = append(out, ValueRate{valueText(e, i), n, assay.Number(rate)})
	}
	return out
}

// relateNumber relates a column to a numeric target: by groups of its values. The rank correlation comes with the pairs.
func (p *profiler) relateNumber(i int, e *table.Examined, r *Relation) {
	if p.y == nil || e.Codes.Len() == 0 {
		return
	}
	if !e.Ranked {
		k := len(e.Counts)
		n, total, square := make([]float64, k+1), make([]float64, k+1), 0.0
		mean := float64(p.columns[p.target].Numbers.Mean)
		for row, y := range p.y {
			if !math.IsNaN(y) && !math.IsInf(y, 0) {
				c := e.Codes.At(row)
				n[c]++
				total[c] += y - mean
				square += (y - mean) * (y - mean)
			}
		}
		if k <= CategoryValues {
			var all, sum, between, groups float64
			for c := 1; c <= k; c++ {
				if n[c] > 0 {
					all, sum, between, groups = all+n[c], sum+total[c], between+total[c]*total[c]/n[c], groups+1
				}
			}
			if n[0] == 0 && all > groups && square > 0 {
				within := square - between
				between -= sum * sum / all
				share := (between - (groups-1)*within/(all-groups)) / (square - sum*sum/all) // ε²: without what chance explains
				r.Eta = assay.Number(math.Sqrt(math.Max(0, share)))
				r.Strength, r.Measure = r.Eta, "correlation_ratio"
			}
		}
		p.rates[i] = rates(e, func(c int) (int64, float64) { return int64(n[c]), mean + total[c]/n[c] })
		if n[0] > 0 {
			out, outTotal := 0.0, 0.0
			for c := 1; c <= k; c++ {
				out, outTotal = out+n[c], outTotal+total[c]
			}
			r.MissingIn, r.MissingOut = assay.Number(mean+total[0]/n[0]), assay.Number(mean+outTotal/out)
		}
		return
	}
	var in, inTotal, out, outTotal float64
	for row, y := range p.y {
		if math.IsNaN(y) || math.IsInf(y, 0) {
			continue
		}
		if e.Codes.At(row) == 0 {
			in, inTotal = in+1, inTotal+y
		} else {
			out, outTotal = out+1, outTotal+y
		}
	}
	if in > 0 {
		r.MissingIn, r.MissingOut = assay.Number(inTotal/in), assay.Number(outTotal/out)
	}
}

// relatePairs completes the relation to a numeric target from the pairs.
func (p *profiler) relatePairs() {
	if p.target < 0 || p.report.Target.Task.Classifies() {
		return
	}
	name := p.report.Target.Column
	for _, q := range p.report.Pairs {
		other := q.A
		if other == name {
			other = q.B
		} else if q.B != name {
			continue
		}
		if r := p.rel[p.index[other]]; r != nil {
			r.rankBy(float64(q.Spearman))
		}
	}
}
