package metric

import (
	"math"
	"sync"

	"github.com/assay-ml/assay"
)

const oneClass = "only one class in the truth"

// parallelSort is the number of rows from which the two classes are sorted at the same time.
const parallelSort = 1 << 14

// splitKeys checks a truth of 0 and 1 and finite scores, and returns the ordered scores of each class, sorted upwards.
func splitKeys(name string, truth []int32, scores []float64) (pos, neg []uint64, err error) {
	ones, poison := 0, 0.0
	ok := len(truth) == len(scores) && len(truth) > 0
	if ok {
		scores := scores[:len(truth)]
		var bits uint32
		for i, t := range truth {
			ones += int(t)
			bits |= uint32(t)
			poison += scores[i] - scores[i]
		}
		ok = bits <= 1 && poison == 0
	}
	if !ok {
		return nil, nil, checkRanked(name, truth, scores, nil)
	}
	// Filling one array from both ends keeps the loop free of a branch on the class.
	all := make([]uint64, len(truth)+1)
	at := [2]int{len(truth), 0}
	step := [2]int{-1, 1}
	for i, t := range truth {
		t &= 1
		all[at[t]] = sortKey(scores[i])
		at[t] += step[t]
	}
	pos, neg = all[:ones], all[ones+1:]
	if len(truth) < parallelSort {
		return sortKeys(pos), sortKeys(neg), nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { neg = sortKeys(neg) })
	pos = sortKeys(pos)
	wg.Wait()
	return pos, neg, nil
}

// splitWeighted is splitKeys with weights; rows of weight 0 are left out.
func splitWeighted(name string, truth []int32, scores, w []float64) (pos, neg []keyed[float64], err error) {
	if err := checkRanked(name, truth, scores, w); err != nil {
		return nil, nil, err
	}
	ones := 0
	for _, t := range truth {
		ones += int(t)
	}
	pos, neg = make([]keyed[float64], 0, ones), make([]keyed[float64], 0, len(truth)-ones)
	for i, t := range truth {
		switch k := (keyed[float64]{sortKey(scores[i]), w[i]}); {
		case w[i] == 0:
		case t == 1:
			pos = append(pos, k)
		default:
			neg = append(neg, k)
		}
	}
	if len(truth) < parallelSort {
		return sortKeyed(pos), sortKeyed(neg), nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { neg = sortKeyed(neg) })
	pos = sortKeyed(pos)
	wg.Wait()
	return pos, neg, nil
}

func checkRanked(name string, truth []int32, scores, w []float64) error {
	var p assay.Problems
	checkRows(&p, len(truth), "scores", len(scores))
	checkBinary(&p, truth)
	checkFinite(&p, "score", scores)
	checkWeights(&p, len(truth), w)
	if len(truth) > math.MaxInt32 {
		p.Add("%d rows; at most %d are ranked", len(truth), math.MaxInt32)
	}
	return p.Err(assay.Invalid, name)
}

func binaryAuc(truth []int32, scores, w []float64) (Value, error) {
	if w != nil {
		pos, neg, err := splitWeighted("ROC AUC", truth, scores, w)
		if err != nil {
			return Value{}, err
		}
		if len(pos) == 0 || len(neg) == 0 {
			return undefined(oneClass), nil
		}
		return defined(mergeWeightedAuc(pos, neg)), nil
	}
	pos, neg, err := splitKeys("ROC AUC", truth, scores)
	if err != nil {
		return Value{}, err
	}
	if len(pos) == 0 || len(neg) == 0 {
		return undefined(oneClass), nil
	}
	return defined(mergeAuc(pos, neg)), nil
}

// mergeAuc counts, for each positive, twice the negatives below it and once those level with it: an exact integer.
func mergeAuc(pos, neg []uint64) float64 {
	var twice uint64
	below := 0
	for i := 0; i < len(pos); {
		key, from := pos[i], i
		for i++; i < len(pos) && pos[i] == key; i++ {
		}
		for below < len(neg) && neg[below] < key {
			below++
		}
		level := below
		for level < len(neg) && neg[level] == key {
			level++
		}
		twice += uint64(i-from) * uint64(below+level)
		below = level
	}
	return float64(twice) / 2 / float64(len(pos)) / float64(len(neg))
}

func mergeWeightedAuc(pos, neg []keyed[float64]) float64 {
	var area, positives, below accumulator
	j := 0
	for i := 0; i < len(pos); {
		key, p := pos[i].key, pos[i].val
		for i++; i < len(pos) && pos[i].key == key; i++ {
			p += pos[i].val
		}
		for ; j < len(neg) && neg[j].key < key; j++ {
			below.add(neg[j].val)
		}
		var level float64
		for ; j < len(neg) && neg[j].key == key; j++ {
			level += neg[j].val
		}
		area.add(p * (below.value() + level/2))
		below.add(level)
		positives.add(p)
	}
	for ; j < len(neg); j++ {
		below.add(neg[j].val)
	}
	return area.value() / positives.value() / below.value()
}

func binaryAP(truth []int32, scores, w []float64) (Value, error) {
	const name, none = "average precision", "no positive in the truth"
	if w != nil {
		pos, neg, err := splitWeighted(name, truth, scores, w)
		if err != nil {
			return Value{}, err
		}
		if len(pos) == 0 {
			return convention(0, none), nil
		}
		return defined(mergeWeightedAP(pos, neg)), nil
	}
	pos, neg, err := splitKeys(name, truth, scores)
	if err != nil {
		return Value{}, err
	}
	if len(pos) == 0 {
		return convention(0, none), nil
	}
	return defined(mergeAP(pos, neg)), nil
}

// mergeAP walks down the positives; above counts the negatives that score at least as high.
func mergeAP(pos, neg []uint64) float64 {
	var ap accumulator
	above := 0
	for i := len(pos) - 1; i >= 0; {
		key, from := pos[i], i
		for i--; i >= 0 && pos[i] == key; i-- {
		}
		for above < len(neg) && neg[len(neg)-1-above] >= key {
			above++
		}
		tp := len(pos) - 1 - i
		ap.add(float64(from-i) * float64(tp) / float64(tp+above))
	}
	return ap.value() / float64(len(pos))
}

func mergeWeightedAP(pos, neg []keyed[float64]) float64 {
	var ap, tp, above accumulator
	j := len(neg) - 1
	for i := len(pos) - 1; i >= 0; {
		key, p := pos[i].key, pos[i].val
		for i--; i >= 0 && pos[i].key == key; i-- {
			p += pos[i].val
		}
		for ; j >= 0 && neg[j].key >= key; j-- {
			above.add(neg[j].val)
		}
		tp.add(p)
		ap.add(p * tp.value() / (tp.value() + above.value()))
	}
	return ap.value() / tp.value()
}

// A Ranking is a binary truth in the order of the scores, sorted once so that any number of reweightings are one linear pass each:
// bootstrap replicates, slices (weight 0 outside), the jackknife. It is immutable and safe for concurrent use.
type Ranking struct {
	rows  []int32
	flags []uint8
	score []float64
}

// Bits of Ranking.flags.
const (
	isPositive uint8 = 1 << iota
	endsTie          // the next row scores less
)

// Rank orders rows from the highest score to the lowest, ties in the order of the rows. Truth is 0 or 1, scores are finite.
func Rank(truth []int32, scores []float64) (*Ranking, error) {
	if err := checkRanked("ranking", truth, scores, nil); err != nil {
		return nil, err
	}
	keys := make([]keyed[int32], len(scores))
	for i, s := range scores {
		keys[i] = keyed[int32]{^sortKey(s), int32(i)}
	}
	keys = sortKeyed(keys)
	n := len(keys)
	r := &Ranking{make([]int32, n), make([]uint8, n), make([]float64, n)}
	for i, k := range keys {
		r.rows[i], r.score[i] = k.val, keyScore(^k.key)
		r.flags[i] = uint8(truth[k.val])
		if i+1 == n || keys[i+1].key != k.key {
			r.flags[i] |= endsTie
		}
	}
	return r, nil
}

// Len is the number of rows.
func (r *Ranking) Len() int { return len(r.rows) }

// Rows lists the rows from the highest score to the lowest. The caller must not write to it.
func (r *Ranking) Rows() []int32 { return r.rows }

// Scores lists the scores in the order of Rows. The caller must not write to it.
func (r *Ranking) Scores() []float64 { return r.score }

// Gather writes weights that are in the order of the data into dst in the order of Rows. Both are as long as the ranking.
func (r *Ranking) Gather(dst, weights []float64) {
	for i, row := range r.rows {
		dst[i] = weights[row]
	}
}

// RocAucScore is the ROC AUC under weights in the order of Rows, finite and at least 0; nil means 1 each. It allocates nothing. The
// weights are not checked.
func (r *Ranking) RocAucScore(weights []float64) Value {
	var tp, fp, area, p, q float64
	for i, f := range r.flags {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		if f&isPositive != 0 {
			p += w
		} else {
			q += w
		}
		if f&endsTie != 0 {
			area += q * (tp + p/2)
			tp, fp = tp+p, fp+q
			p, q = 0, 0
		}
	}
	if tp == 0 || fp == 0 {
		return undefined(oneClass)
	}
	return defined(area / tp / fp)
}

// AveragePrecisionScore is the average precision under weights, which are as for RocAucScore.
func (r *Ranking) AveragePrecisionScore(weights []float64) Value {
	var tp, fp, ap, p, q float64
	for i, f := range r.flags {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		if f&isPositive != 0 {
			p += w
		} else {
			q += w
		}
		if f&endsTie != 0 {
			tp, fp = tp+p, fp+q
			if p > 0 {
				ap += p * tp / (tp + fp)
			}
			p, q = 0, 0
		}
	}
	if tp == 0 {
		return convention(0, "no positive in the truth")
	}
	return defined(ap / tp)
}
