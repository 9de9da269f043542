package stat

import (
	"cmp"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// A Fold is one division of the rows 0 … n-1: which train and which test. Rows in neither list are left out by the method.
type Fold struct {
	Train []int
	Test  []int
}

// DefaultFolds is the number of folds of a splitter whose Splits is zero, as in scikit-learn.
const DefaultFolds = 5

// Encode returns for each value its index among the distinct values in ascending order, and these. Splitters take such codes.
func Encode[T cmp.Ordered](values []T) (codes []int, distinct []T) {
	seen := make(map[T]int)
	for _, v := range values {
		if _, ok := seen[v]; !ok {
			seen[v] = 0
			distinct = append(distinct, v)
		}
	}
	slices.Sort(distinct)
	for i, v := range distinct {
		seen[v] = i
	}
	codes = make([]int, len(values))
	for i, v := range values {
		codes[i] = seen[v]
	}
	return codes, distinct
}

// dense renumbers codes to 0 … k-1 in ascending order and counts each.
func dense(codes []int) (index []int32, counts []int) {
	if len(codes) == 0 {
		return nil, nil
	}
	lo, hi := slices.Min(codes), slices.Max(codes)
	index = make([]int32, len(codes))
	if span := hi - lo; span >= 0 && span < 4*len(codes)+1024 {
		at := make([]int32, span+1)
		for _, c := range codes {
			at[c-lo]++
		}
		for i, c := range at {
			if c > 0 {
				at[i] = int32(len(counts))
				counts = append(counts, int(c))
			}
		}
		for i, c := range codes {
			index[i] = at[c-lo]
		}
		return index, counts
	}
	ids, distinct := Encode(codes)
	counts = make([]int, len(distinct))
	for i, c := range ids {
		index[i] = int32(c)
		counts[c]++
	}
	return index, counts
}

// KFold cuts the rows into Splits folds of sizes that differ by at most one, each the test side once: scikit-learn's KFold, and
// with Repeats its RepeatedKFold. Test rows are ascending.
type KFold struct {
	Splits  int    // number of folds, at least 2; 0 means DefaultFolds
	Shuffle bool   // permute the rows before cutting
	Seed    uint32 // scikit-learn's random_state; refused without Shuffle
	Repeats int    // how often, each with a new permutation; 0 means once; more than once needs Shuffle
}

func (k KFold) check(n int) (splits, repeats int, err error) {
	var p assay.Problems
	splits, repeats = cmp.Or(k.Splits, DefaultFolds), cmp.Or(k.Repeats, 1)
	if splits < 2 {
		p.Add("a cross-validation needs at least 2 folds, not %d", splits)
	}
	if repeats < 1 {
		p.Add("%d repeats", repeats)
	}
	if !k.Shuffle && k.Seed != 0 {
		p.Add("seed %d has no effect without shuffling", k.Seed)
	}
	if !k.Shuffle && repeats > 1 {
		p.Add("repeats without shuffling are all alike")
	}
	if splits > n {
		p.Add("%d folds of %d rows", splits, n)
	}
	return splits, repeats, p.Err(assay.Invalid, "cannot make folds")
}

// Split returns the folds of n rows.
func (k KFold) Split(n int) ([]Fold, error) {
	splits, repeats, err := k.check(n)
	if err != nil {
		return nil, err
	}
	rng := NewRandomState(k.Seed)
	fold := make([]int32, n)
	var out []Fold
	for range repeats {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		if k.Shuffle {
			rng.Shuffle(order)
		}
		at := 0
		for f := range splits {
			size := n / splits
			if f < n%splits {
				size++
			}
			for range size {
				fold[order[at]] = int32(f)
				at++
			}
		}
		out = append(out, folds(fold, splits)...)
	}
	return out, nil
}

// folds turns the fold number of each row into lists of ascending rows.
func folds(fold []int32, splits int) []Fold {
	sizes := make([]int, splits)
	for _, f := range fold {
		sizes[f]++
	}
	out := make([]Fold, splits)
	for f := range out {
		train, test := make([]int, 0, len(fold)-sizes[f]), make([]int, 0, sizes[f])
		for i, g := range fold {
			if int(g) == f {
				test = append(test, i)
			} else {
				train = append(train, i)
			}
		}
		out[f] = Fold{Train: train, Test: test}
	}
	return out
}

// Sizes says how many rows are for test and how many for training. A value strictly between 0 and 1 is a share of the rows (rounded
// up for test, down for training), 1 or more is a number of rows, 0 is what the other leaves.
type Sizes struct {
	Test  float64
	Train float64
}

// Of returns the numbers of training and test rows of n, as scikit-learn computes them; without either size the test share is
// byDefault. It refuses sizes that are negative, not whole, above n together, or that leave no training row.
func (s Sizes) Of(n int, byDefault float64) (train, test int, err error) {
	if s.Test == 0 && s.Train == 0 {
		s.Test = byDefault
	}
	var p assay.Problems
	rows := func(what string, v float64, round func(float64) float64) int {
		switch {
		case math.IsNaN(v) || v < 0 || v >= 1 && (v != math.Trunc(v) || v >= float64(n)):
			p.Add("%s size %v of %d rows: want a share in (0, 1) or a whole number in [1, %d)", what, v, n, n)
			return 0
		case v < 1:
			return int(round(v * float64(n)))
		}
		return int(v)
	}
	test, train = rows("test", s.Test, math.Ceil), rows("training", s.Train, math.Floor)
	if s.Test < 1 && s.Train < 1 && s.Test+s.Train > 1 {
		p.Add("test share %v and training share %v are more than all rows", s.Test, s.Train)
	}
	if len(p) == 0 {
		if s.Train == 0 {
			train = n - test
		}
		if s.Test == 0 {
			test = n - train
		}
		if train+test > n {
			p.Add("%d training and %d test rows are more than %d", train, test, n)
		}
		if train <= 0 {
			p.Add("no training row is left: test size %v of %d rows", s.Test, n)
		}
	}
	return train, test, p.Err(assay.Invalid, "cannot size the split")
}

// TrainTestOptions are the arguments of scikit-learn's train_test_split; the zero value is its default but for the seed.
type TrainTestOptions struct {
	Sizes
	Stratify  []int  // class codes (see Encode), one a row: keep their shares on both sides; nil: do not
	NoShuffle bool   // the first rows train, the last test
	Seed      uint32 // random_state
}

// DefaultTestShare is the test share of TrainTestSplit when no size is given.
const DefaultTestShare = 0.25

// TrainTestSplit divides n rows in two, in the order in which scikit-learn's train_test_split returns them.
func TrainTestSplit(n int, o TrainTestOptions) (Fold, error) {
	if o.NoShuffle {
		if o.Stratify != nil {
			return Fold{}, assay.Errorf(assay.Invalid, "a stratified split needs shuffling")
		}
		train, test, err := o.Of(n, DefaultTestShare)
		if err != nil {
			return Fold{}, err
		}
		rows := make([]int, train+test)
		for i := range rows {
			rows[i] = i
		}
		return Fold{Train: rows[:train:train], Test: rows[train:]}, nil
	}
	if o.Test == 0 && o.Train == 0 {
		o.Test = DefaultTestShare
	}
	var out []Fold
	var err error
	if o.Stratify != nil {
		if len(o.Stratify) != n {
			return Fold{}, assay.Errorf(assay.Invalid, "%d class codes for %d rows", len(o.Stratify), n)
		}
		out, err = StratifiedShuffleSplit{Splits: 1, Sizes: o.Sizes, Seed: o.Seed}.Split(o.Stratify)
	} else {
		out, err = ShuffleSplit{Splits: 1, Sizes: o.Sizes, Seed: o.Seed}.Split(n)
	}
	if err != nil {
		return Fold{}, err
	}
	return out[0], nil
}

// ShuffleSplit draws Splits independent divisions: scikit-learn's ShuffleSplit, rows in the order of the permutation.
type ShuffleSplit struct {
	Splits int // number of divisions; 0 means 10
	Sizes      // default: a tenth for test
	Seed   uint32
}

// Split returns the divisions of n rows.
func (s ShuffleSplit) Split(n int) ([]Fold, error) {
	return s.split(n, 0.1)
}

func (s ShuffleSplit) split(n int, byDefault float64) ([]Fold, error) {
	splits := cmp.Or(s.Splits, 10)
	if splits < 1 {
		return nil, assay.Errorf(assay.Invalid, "%d divisions", splits)
	}
	train, test, err := s.Of(n, byDefault)
	if err != nil {
		return nil, err
	}
	rng := NewRandomState(s.Seed)
	out := make([]Fold, splits)
	for i := range out {
		p := rng.Permutation(n)
		out[i] = Fold{Test: p[:test:test], Train: p[test : test+train : test+train]}
	}
	return out, nil
}

// TimeSeriesSplit tests on ever later rows and trains on what lies before them: scikit-learn's TimeSeriesSplit. It cuts by row
// number; rows must be in time order, and equal times can fall on both sides.
type TimeSeriesSplit struct {
	Splits   int // number of folds, at least 2; 0 means DefaultFolds
	MaxTrain int // at most so many training rows, the latest; 0: all
	Test     int // test rows a fold; 0: n/(Splits+1)
	Gap      int // rows left out between training and test
}

// Split returns the folds of n rows, earliest first.
func (s TimeSeriesSplit) Split(n int) ([]Fold, error) {
	splits := cmp.Or(s.Splits, DefaultFolds)
	var p assay.Problems
	if splits < 2 {
		p.Add("a cross-validation needs at least 2 folds, not %d", splits)
	}
	if s.MaxTrain < 0 || s.Test < 0 || s.Gap < 0 {
		p.Add("negative sizes: training %d, test %d, gap %d", s.MaxTrain, s.Test, s.Gap)
	}
	if splits+1 > n {
		p.Add("%d folds need at least %d rows, not %d", splits, splits+1, n)
	}
	if err := p.Err(assay.Invalid, "cannot make folds in time"); err != nil {
		return nil, err
	}
	test := cmp.Or(s.Test, n/(splits+1))
	if n-s.Gap-test*splits <= 0 {
		return nil, assay.Errorf(assay.Invalid, "cannot make folds in time: %d folds of %d test rows with a gap of %d leave no training row of %d", splits, test, s.Gap, n)
	}
	out := make([]Fold, splits)
	for f := range out {
		start := n - (splits-f)*test
		end := start - s.Gap
		first := 0
		if s.MaxTrain > 0 && s.MaxTrain < end {
			first = end - s.MaxTrain
		}
		out[f] = Fold{Train: span(first, end), Test: span(start, start+test)}
	}
	return out, nil
}

func span(from, to int) []int {
	rows := make([]int, to-from)
	for i := range rows {
		rows[i] = from + i
	}
	return rows
}
