package stat

import (
	"math"

	"github.com/assay-ml/assay"
	"gonum.org/v1/gonum/mat"
)

// DefaultExplained is the share of the variance that a Reconstruction keeps when nobody asks for another.
const DefaultExplained = 0.65

// A Reconstruction holds the principal components of a reference table. Rows whose columns go together as they did in the reference are
// close to what the components make of them; rows in which correlations changed are not, even where every column by itself looks as
// before. Undefined values are filled with the column's reference mean and columns are brought to mean 0 and variance 1 (divisor n;
// a constant column keeps its scale) first. Equal to scikit-learn's mean imputation, StandardScaler and PCA(explained), to 1e-9. It is
// immutable and safe for concurrent use.
type Reconstruction struct {
	mean, scale []float64
	components  []float64 // k×d, row-major, orthonormal
	k           int
}

// NewReconstruction computes the components of n×d row-major values that keep more than the given share of the variance; 0 means
// DefaultExplained. Categories go in as numbers, see FrequencyCode. It refuses fewer than two rows, a size that is no multiple of the
// columns, infinite values, a column without a defined value, and a share outside (0, 1).
func NewReconstruction(values []float64, columns int, explained float64) (*Reconstruction, error) {
	if explained == 0 {
		explained = DefaultExplained
	}
	var p assay.Problems
	if columns < 1 || len(values)%max(columns, 1) != 0 || len(values) < 2*columns {
		p.Add("%d values are not two rows or more of %d columns", len(values), columns)
	}
	if !(explained > 0 && explained < 1) {
		p.Add("a share of %v of the variance", explained)
	}
	if err := p.Err(assay.Invalid, "cannot compute principal components"); err != nil {
		return nil, err
	}
	n := len(values) / columns
	r := &Reconstruction{mean: make([]float64, columns), scale: make([]float64, columns)}
	x := make([]float64, len(values))
	column := make([]float64, 0, n)
	for j := range columns {
		column = column[:0]
		for i := range n {
			v := values[i*columns+j]
			if math.IsInf(v, 0) {
				p.Add("column %d has an infinite value", j)
				break
			}
			if v == v {
				column = append(column, v)
			}
		}
		if len(column) == 0 {
			p.Add("column %d has no defined value", j)
			continue
		}
		m := pairwiseSum(column) / float64(len(column))
		var square float64
		for _, v := range column {
			square += (v - m) * (v - m)
		}
		r.mean[j], r.scale[j] = m, math.Sqrt(square/float64(n)) // filled values add nothing
		if !(r.scale[j] > 1e-12*math.Abs(m)) {
			r.scale[j] = 1
		}
	}
	if err := p.Err(assay.Invalid, "cannot compute principal components"); err != nil {
		return nil, err
	}
	for i := range n {
		r.standardise(values[i*columns:(i+1)*columns], x[i*columns:(i+1)*columns])
	}
	cov := mat.NewSymDense(columns, nil)
	cov.SymOuterK(1/float64(n), mat.NewDense(n, columns, x).T())
	var eigen mat.EigenSym
	if !eigen.Factorize(cov, true) {
		return nil, assay.Errorf(assay.Internal, "cannot compute principal components: the decomposition did not converge")
	}
	variances := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	var total, kept float64
	for _, v := range variances {
		total += math.Max(v, 0)
	}
	for j := columns - 1; j >= 0; j-- {
		kept += math.Max(variances[j], 0)
		r.k++
		for i := range columns {
			r.components = append(r.components, vectors.At(i, j))
		}
		if kept > explained*total {
			break
		}
	}
	return r, nil
}

func (r *Reconstruction) standardise(row, out []float64) {
	for j, v := range row {
		out[j] = 0
		if v == v {
			out[j] = (v - r.mean[j]) / r.scale[j]
		}
	}
}

// Components is the number of components kept, Columns that of the columns.
func (r *Reconstruction) Components() int { return r.k }

// Columns is the number of columns.
func (r *Reconstruction) Columns() int { return len(r.mean) }

// Errors returns the Euclidean distance of each row of row-major values from its reconstruction, in standard deviations. Undefined values
// are filled, infinite ones make the error infinite or undefined. It refuses a size that is no multiple of the columns.
func (r *Reconstruction) Errors(values []float64) ([]float64, error) {
	d := len(r.mean)
	if len(values)%d != 0 {
		return nil, assay.Errorf(assay.Invalid, "cannot reconstruct: %d values are not rows of %d columns", len(values), d)
	}
	out := make([]float64, len(values)/d)
	z := make([]float64, d)
	for i := range out {
		r.standardise(values[i*d:(i+1)*d], z)
		for k := range r.k {
			c := r.components[k*d : (k+1)*d]
			var score float64
			for j, v := range z {
				score += v * c[j]
			}
			for j := range z { // components are orthogonal: what one takes away, the next does not see
				z[j] -= score * c[j]
			}
		}
		var square float64
		for _, v := range z {
			square += v * v
		}
		out[i] = math.Sqrt(square)
	}
	return out, nil
}

// FrequencyCode returns, for each category of reference counts, its share: the number that stands for the category in a Reconstruction.
// A category that the reference does not have gets 0.
func FrequencyCode(reference []float64) []float64 {
	total := pairwiseSum(reference)
	out := make([]float64, len(reference))
	for i, c := range reference {
		if total > 0 {
			out[i] = c / total
		}
	}
	return out
}
