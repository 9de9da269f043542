package dataset

import (
	"fmt"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// keyed puts keys before a table: row numbers, or digits that tell nothing.
func keyed(f assay.Frame, name func(i int) string) assay.Frame {
	key := assay.Column{Name: "id", Type: assay.TypeString}
	for i := range f.Rows() {
		key.Codes, key.Levels = append(key.Codes, int32(i)), append(key.Levels, name(i))
	}
	return append(assay.Frame{key}, f...)
}

func digits(seed uint64) func(i int) string {
	return func(i int) string { return fmt.Sprintf("%016x", mix(uint64(i)<<16+seed)) }
}

func rowNumber(i int) string { return fmt.Sprintf("p%06d", i) }

// resampled draws as many rows as there are, each as often as chance wants.
func resampled(f assay.Frame, share float64, seed uint64) assay.Frame {
	r, rows := stat.NewRand(seed, 5), make([]int, int(share*float64(f.Rows())))
	for i := range rows {
		rows[i] = r.Intn(f.Rows())
	}
	return f.Take(rows)
}

// TestSeeResampled: rows that were drawn with replacement repeat because they were drawn so, and hide nothing.
func TestSeeResampled(t *testing.T) {
	e := engine(t)
	for _, n := range []int{700, 4000} {
		f := fine(n, 31)
		s := seal(t, e, keyed(f, digits(1)), "id")
		for _, share := range []float64{0.6, 1, 2} {
			got := s.in(keyed(resampled(f, share, 9), digits(2)))
			expected := 1 - 1/(1+share*1.2) // below the share of rows that are drawn at all
			if !got.Seen() || got.Probable || got.Excess() < 0.6*expected {
				t.Errorf("%d rows, %v times as many drawn: %+v", n, share, got)
			}
		}
		for seed := range uint64(5) {
			if got := s.in(keyed(resampled(fine(n, 40+seed), 1, seed), digits(2))); got.Seen() {
				t.Errorf("%d rows, other rows drawn with replacement: %+v", n, got)
			}
		}
	}
}

// TestContentChance: rows that have the same number and, by chance, the same few values are not the same rows; a hundred copies are.
func TestContentChance(t *testing.T) {
	e := engine(t)
	sightingOf := func(s sealedTable, g assay.Frame) Sighting {
		l, err := NewLook(t.Context(), frame(t, e, g...), []string{"id"}, "y")
		if err != nil {
			t.Fatal(err)
		}
		sealed, contents := s.split.SealedPrints(), l.Contents(l.All())
		out := Sighting{Chance: l.ContentChance(contents, s.sketch)}
		for p := range slices.Chunk(sealed, 16) {
			out.Looked++
			if slices.Contains(contents, [16]byte(p)) {
				out.Found++
			}
		}
		return out
	}
	for _, n := range []int{1000, 5000} {
		for name, key := range map[string]func(int) string{"numbers": rowNumber, "digits": digits(3)} {
			f := keyed(coarse(n, 51), key)
			s := seal(t, e, f, "id")
			accidents := 0
			for seed := range uint64(5) {
				got := sightingOf(s, keyed(coarse(n, 60+seed), key))
				accidents += got.Found
				if name == "numbers" && got.Seen() {
					t.Errorf("%d other rows under the same numbers: %+v", n, got)
				}
			}
			if accidents == 0 {
				t.Errorf("%d rows, %s: no row is equal by accident, so that nothing was tried", n, name)
			}
			test := s.split.Rows(assay.Test)
			copied := f.Take(append(slices.Clone(test[:len(test)/2]), s.split.Rows(assay.Train)...))
			if got := sightingOf(s, copied); !got.Seen() || got.Excess() < 0.4 {
				t.Errorf("%d rows, %s: half of the sealed rows: %+v", n, name, got)
			}
		}
	}
}
