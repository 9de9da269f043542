package stat_test

import (
	"math"
	"testing"

	"github.com/assay-ml/assay/stat"
)

func TestDomainAUC(t *testing.T) {
	const days, perDay = 20, 50
	// Scores of the classifier differ by day; in the drifted case the window's by more.
	table := func(shift, byDay float64, stream ...uint64) (window []bool, score []float64, day []int) {
		r := stat.NewRand(61, stream...)
		for d := range days {
			m := byDay * r.Normal()
			for range perDay {
				in := d >= days-5
				s := m + r.Normal()
				if in {
					s += shift
				}
				window, score, day = append(window, in), append(score, s), append(day, d)
			}
		}
		return
	}
	w, s, d := table(1, 0.2)
	e, test, err := stat.DomainAUC(w, s, d, stat.DomainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, certain, err := stat.DomainAUC(w, s, nil, stat.DomainOptions{Tail: true})
	if err != nil || !(certain.P < 1e-20 && certain.P > 0) {
		t.Errorf("shifted, with a tail: %+v, %v", certain, err)
	}
	if math.Abs(e.Value-test.Statistic) > 1e-12 || test.P > 0.01 || e.Lo < 0.6 {
		t.Errorf("shifted: %v, %+v", e, test)
	}
	var rows, blocks float64
	const sets = 300
	tail := map[float64]float64{}
	for set := range uint64(sets) {
		w, s, d := table(0, 0.3, set)
		_, byRow, err := stat.DomainAUC(w, s, nil, stat.DomainOptions{Permutations: 99, Seed: set})
		if err != nil {
			t.Fatal(err)
		}
		_, byDay, err := stat.DomainAUC(w, s, d, stat.DomainOptions{Permutations: 99, Seed: set})
		if err != nil {
			t.Fatal(err)
		}
		w, s, _ = table(0, 0, set)
		_, quick, err := stat.DomainAUC(w, s, nil, stat.DomainOptions{Permutations: 399, Tail: true, Seed: set})
		if err != nil {
			t.Fatal(err)
		}
		for _, alpha := range []float64{0.5, 0.2, 0.05, 0.01} {
			if quick.P <= alpha {
				tail[alpha]++
			}
		}
		if byRow.P <= 0.05 {
			rows++
		}
		if byDay.P <= 0.05 {
			blocks++
		}
	}
	if e := stat.Proportion(blocks, sets, 0.999, stat.Wilson); e.Lo > 0.05 || e.Hi < 0.05 {
		t.Errorf("without drift, days rejected at 0.05: %s", e)
	}
	for alpha, n := range tail {
		if e := stat.Proportion(n, sets, 0.9999, stat.ClopperPearson); e.Lo > alpha || e.Hi < alpha {
			t.Errorf("without drift, with a tail rejected at %v: %s", alpha, e)
		}
	}
	if rows/sets < 0.15 {
		t.Errorf("rows of a day as independent rejected %v only: no example", rows/sets)
	}
	for name, err := range map[string]error{
		"lengths": refusedTwo(stat.DomainAUC(w, s[1:], nil, stat.DomainOptions{})), "one side": refusedTwo(stat.DomainAUC([]bool{true, true}, []float64{1, 2}, nil, stat.DomainOptions{})),
		"both sides": refusedTwo(stat.DomainAUC([]bool{true, false}, []float64{1, 2}, []int{4, 4}, stat.DomainOptions{})),
		"blocks":     refusedTwo(stat.DomainAUC([]bool{true, false}, []float64{1, 2}, []int{4}, stat.DomainOptions{})),
	} {
		if err == nil {
			t.Errorf("%s: judged", name)
		}
	}
}

func refusedTwo[A, B any](_ A, _ B, err error) error { return err }
