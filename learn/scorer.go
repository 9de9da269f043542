package learn

import (
	"fmt"
	"math"
)

// A link turns the raw scores of a booster into what it predicts.
type link uint8

const (
	linkIdentity link = iota
	linkLogistic
	linkSoftmax
	linkExp
	linkHinge     // 1 above 0, else 0
	linkSquare    // the square with the sign of the score
	linkLog1pExp  // log(1 + exp(x))
	linkEachClass // a logistic for each class, not normalised: LightGBM's multiclassova
)

// A scorer is a model of XGBoost or LightGBM: a forest, or linear terms, and a link. It has one matrix input; a classifier gives the
// label (the number of the class), the probabilities and the margins, every other model the values and the margins.
type scorer[T float32 | float64] struct {
	name     string
	columns  []Feature
	features int
	groups   int // raw scores a row
	classes  int // of a classifier, 0 otherwise
	base     []T // starting scores
	link     link
	scale    float64 // of the score inside a logistic
	divide   float64 // the sum of the trees is divided by it before the link
	add      func(m *memory, x []T, rows, cols int, scores []T) error
}

func (b *scorer[T]) elem() ElementType {
	var v T
	if _, ok := any(v).(float32); ok {
		return Float32
	}
	return Float64
}

// ports implements engine.
func (b *scorer[T]) ports() (in, out []Port) {
	typ := b.elem()
	in = []Port{{Name: "features", Type: typ, Shape: []int{-1, b.features}, Columns: b.columns}}
	margin := Port{Name: "margin", Type: typ, Shape: []int{-1, b.groups}, Role: RoleMargin}
	if b.classes == 0 {
		return in, []Port{{Name: "value", Type: typ, Shape: []int{-1, b.groups}, Role: RoleValue}, margin}
	}
	classes := numbered(b.classes)
	return in, []Port{
		{Name: "label", Type: Int64, Shape: []int{-1}, Role: RoleLabel},
		{Name: "probabilities", Type: typ, Shape: []int{-1, b.classes}, Role: RoleProbability, Classes: classes},
		margin,
	}
}

// floatsOf returns the elements of a tensor of T.
func floatsOf[T float32 | float64](t *Tensor) []T {
	var v T
	if _, ok := any(v).(float32); ok {
		return any(t.Floats).([]T)
	}
	return any(t.Doubles).([]T)
}

// execute implements engine.
func (b *scorer[T]) execute(m *memory, in, out []*Tensor) error {
	x := in[0]
	rows, cols, err := x.matrix()
	if err != nil || cols != b.features {
		return fmt.Errorf("input of shape %s for %d features", shapeString(x.Shape), b.features)
	}
	margin, err := m.tensor(b.elem(), rows, b.groups)
	if err != nil {
		return err
	}
	scores := floatsOf[T](margin)
	for i := range scores {
		scores[i] = b.base[i%b.groups]
	}
	if err := b.add(m, floatsOf[T](x), rows, cols, scores); err != nil {
		return err
	}
	if b.divide != 1 { // the margin stays as the library gives it
		means, err := m.tensor(b.elem(), rows, b.groups)
		if err != nil {
			return err
		}
		for i, s := range scores {
			floatsOf[T](means)[i] = s / T(b.divide)
		}
		scores = floatsOf[T](means)
	}
	k := b.groups
	if b.classes > 0 {
		k = b.classes
	}
	result, err := m.tensor(b.elem(), rows, k)
	if err != nil {
		return err
	}
	values := floatsOf[T](result)
	if b.classes == 0 {
		for i, s := range scores {
			values[i] = T(b.transform(float64(s)))
		}
		out[0], out[1] = result, margin
		return nil
	}
	label, err := m.tensor(Int64, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		row := values[i*k : (i+1)*k]
		if b.groups == 1 {
			p := T(b.transform(float64(scores[i])))
			row[0], row[1] = 1-p, p
			if p > 0.5 {
				label.Ints[i] = 1
			}
			continue
		}
		b.multiclass(row, scores[i*k:(i+1)*k])
		best := 0
		for j, v := range row {
			if v > row[best] {
				best = j
			}
		}
		label.Ints[i] = int64(best)
	}
	out[0], out[1], out[2] = label, result, margin
	return nil
}

// multiclass turns the scores of a row into probabilities.
func (b *scorer[T]) multiclass(row, scores []T) {
	if b.link != linkSoftmax {
		for j, s := range scores {
			row[j] = T(b.transform(float64(s)))
		}
		return
	}
	top, sum := float64(scores[0]), 0.0
	for _, s := range scores {
		top = max(top, float64(s))
	}
	for _, s := range scores {
		sum += math.Exp(float64(s) - top)
	}
	for j, s := range scores {
		row[j] = T(math.Exp(float64(s)-top) / sum)
	}
}

func (b *scorer[T]) transform(x float64) float64 {
	switch b.link {
	case linkLogistic, linkEachClass:
		return logistic(b.scale * x)
	case linkExp:
		return math.Exp(x)
	case linkHinge:
		if x > 0 {
			return 1
		}
		return 0
	case linkSquare:
		return math.Copysign(x*x, x)
	case linkLog1pExp:
		return math.Log1p(math.Exp(x))
	}
	return x
}
