package learn

import (
	"context"
	"math"
	"sync"
)

// A features matrix is dense columns and one-hot blocks; the intercept is a last block of one level. Coefficients are laid out in
// that order. Blocks of rows are summed apart and then in order, so sums do not depend on the number of threads.
type features struct {
	rows    int
	dense   [][]float64
	hot     [][]int32 // place in the block, -1 for none
	offset  []int     // of each block among the coefficients
	size    int       // number of coefficients
	threads int
}

const rowBlock = 4096

func newFeatures(rows int, dense [][]float64, hot [][]int32, levels []int, intercept bool, threads int) *features {
	f := &features{rows: rows, dense: dense, hot: append([][]int32(nil), hot...), size: len(dense), threads: threads}
	for _, k := range levels {
		f.offset = append(f.offset, f.size)
		f.size += k
	}
	if intercept {
		f.hot = append(f.hot, make([]int32, rows))
		f.offset = append(f.offset, f.size)
		f.size++
	}
	return f
}

// parallel calls work for every number below n, on as many goroutines as there are threads.
func parallel(threads, n int, work func(i int)) {
	if threads > n {
		threads = n
	}
	if threads <= 1 {
		for i := range n {
			work(i)
		}
		return
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range threads {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				work(i)
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// blocks returns how many blocks of rows there are, at most limit, and the size of each but the last.
func blocks(rows, limit int) (count, size int) {
	count = min(max((rows+rowBlock-1)/rowBlock, 1), limit)
	return count, (rows + count - 1) / count
}

// scores writes X·beta.
func (f *features) scores(beta, out []float64) {
	count, size := blocks(f.rows, 1<<20)
	parallel(f.threads, count, func(b int) {
		lo, hi := b*size, min((b+1)*size, f.rows)
		block := out[lo:max(lo, hi)]
		clear(block)
		for j, col := range f.dense {
			if w := beta[j]; w != 0 {
				for i, v := range col[lo:hi] {
					block[i] += v * w
				}
			}
		}
		for j, col := range f.hot {
			w := beta[f.offset[j]:]
			for i, c := range col[lo:hi] {
				if c >= 0 {
					block[i] += w[c]
				}
			}
		}
	})
}

// times writes Xᵀ·r.
func (f *features) times(r, out []float64) {
	count, size := blocks(f.rows, 64)
	parts := make([][]float64, count)
	parallel(f.threads, count, func(b int) {
		lo, hi := b*size, min((b+1)*size, f.rows)
		part := make([]float64, f.size)
		for j, col := range f.dense {
			s := 0.0
			for i := lo; i < hi; i++ {
				s += col[i] * r[i]
			}
			part[j] = s
		}
		for j, col := range f.hot {
			to := part[f.offset[j]:]
			for i := lo; i < hi; i++ {
				if c := col[i]; c >= 0 {
					to[c] += r[i]
				}
			}
		}
		parts[b] = part
	})
	clear(out)
	addParts(out, parts)
}

func addParts(out []float64, parts [][]float64) {
	for _, part := range parts {
		for i, v := range part {
			out[i] += v
		}
	}
}

// gram returns the lower triangle of Xᵀ·diag(w)·X, row-major with f.size columns.
func (f *features) gram(w []float64) []float64 {
	p := f.size
	limit := min(max(1<<23/(p*p+1), 1), 16)
	count, size := blocks(f.rows, limit)
	parts := make([][]float64, count)
	parallel(f.threads, count, func(b int) {
		lo, hi := b*size, min((b+1)*size, f.rows)
		part := make([]float64, p*p)
		for at := lo; at < hi; at += rowBlock {
			f.gramBlock(w, part, at, min(at+rowBlock, hi))
		}
		parts[b] = part
	})
	out := parts[0]
	addParts(out, parts[1:])
	return out
}

func (f *features) gramBlock(w, out []float64, lo, hi int) {
	p := f.size
	wx := make([]float64, hi-lo)
	for j, col := range f.dense {
		for i := range wx {
			wx[i] = w[lo+i] * col[lo+i]
		}
		for k := 0; k <= j; k++ {
			s := 0.0
			for i, v := range f.dense[k][lo:hi] {
				s += wx[i] * v
			}
			out[j*p+k] += s
		}
		for h, hot := range f.hot {
			base := f.offset[h]*p + j
			for i, c := range hot[lo:hi] {
				if c >= 0 {
					out[base+int(c)*p] += wx[i]
				}
			}
		}
	}
	for h, hot := range f.hot {
		for g := 0; g <= h; g++ {
			other := f.hot[g]
			base := f.offset[h]*p + f.offset[g]
			for i := lo; i < hi; i++ {
				if c, d := hot[i], other[i]; c >= 0 && d >= 0 {
					out[base+int(c)*p+int(d)] += w[i]
				}
			}
		}
	}
}

// cholesky factors the lower triangle of a symmetric matrix in place; false means that it is not positive definite.
func cholesky(ctx context.Context, a []float64, n, threads int) bool {
	for j := range n {
		if j%64 == 0 && ctx.Err() != nil {
			return false
		}
		row := a[j*n : j*n+n]
		d := row[j]
		for _, v := range row[:j] {
			d -= v * v
		}
		if !(d > 0) || math.IsInf(d, 0) {
			return false
		}
		d = math.Sqrt(d)
		row[j] = d
		left := n - j - 1
		chunk := func(b int) {
			for i := j + 1 + b*64; i < min(j+1+(b+1)*64, n); i++ {
				other := a[i*n : i*n+j+1]
				s := other[j]
				for k, v := range row[:j] {
					s -= v * other[k]
				}
				other[j] = s / d
			}
		}
		if left*j < 1<<16 {
			for b := range (left + 63) / 64 {
				chunk(b)
			}
		} else {
			parallel(threads, (left+63)/64, chunk)
		}
	}
	return true
}

// choleskySolve solves L·Lᵀ·x = b in place.
func choleskySolve(l []float64, n int, x []float64) {
	for i := range n {
		s := x[i]
		for k, v := range l[i*n : i*n+i] {
			s -= v * x[k]
		}
		x[i] = s / l[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		s := x[i]
		for k := i + 1; k < n; k++ {
			s -= l[k*n+i] * x[k]
		}
		x[i] = s / l[i*n+i]
	}
}
