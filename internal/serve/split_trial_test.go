package serve

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// TestTrialMerges: units that several servers count in any order, some of them twice, and put into the store whenever they like, are those
// that one server would have counted; a server that begins with what the store has goes on from there.
func TestTrialMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		servers := []*Trial{NewTrial(5), NewTrial(5), NewTrial(5)}
		var stored [tests]string
		put := func(s *Trial) {
			for i := range stored {
				text, err := s.Merge(i, stored[i])
				if err != nil {
					t.Fatal(err)
				}
				if rapid.Bool().Draw(t, "kept") { // the store may refuse it: then it is merged again later
					stored[i] = text
					s.Kept(i)
				}
			}
		}
		want := map[string]map[bool]int64{}
		seen := map[string]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "units") {
			test, key := rapid.IntRange(0, tests-1).Draw(t, "test"), rapid.Uint64Range(0, 40).Draw(t, "key")
			s := servers[rapid.IntRange(0, len(servers)-1).Draw(t, "server")]
			s.count(test, key, 0.25, key%4 == 0)
			if name := fmt.Sprint(test, " ", key); !seen[name] {
				seen[name] = true
				if want[TrialTests[test]] == nil {
					want[TrialTests[test]] = map[bool]int64{}
				}
				want[TrialTests[test]][key%4 == 0]++
			}
			if rapid.IntRange(0, 9).Draw(t, "put") == 0 {
				put(s)
			}
		}
		for _, s := range servers {
			for i := range stored {
				text, err := s.Merge(i, stored[i])
				if err != nil {
					t.Fatal(err)
				}
				stored[i] = text
				s.Kept(i)
				if s.Due(i, true) {
					t.Error("something is due that was stored")
				}
			}
		}
		next := NewTrial(5)
		for i := range stored {
			if _, err := next.Merge(i, stored[i]); err != nil {
				t.Fatal(err)
			}
		}
		all, _ := next.weigh()
		for _, got := range all {
			w := want[got.Test]
			if got.Own != w[true] || got.N != w[true]+w[false] || got.Expected != assay.Number(0.25*float64(got.N)) {
				t.Errorf("%+v, want %v", got, w)
			}
		}
		other := NewTrial(6)
		for i := range stored {
			if _, err := other.Merge(i, stored[i]); err != nil {
				t.Fatal(err)
			}
		}
		if _, e := other.weigh(); e != 1 {
			t.Errorf("another rollout begins with %v", e)
		}
	})
	later, err := NewTrial(9).Merge(0, "")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := NewTrial(8).Merge(0, later); text != "" || err != nil {
		t.Errorf("a rollout that is over stores %q, %v", text, err)
	}
	for _, bad := range []string{"{", `{"seen": "?"}`, "[]"} {
		if _, err := NewTrial(1).Merge(0, bad); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestTrialIsBounded: however many units come, again and again, none counts twice, the memory is bounded, the share of the candidate's is
// what it was, and a tag holds what is stored.
func TestTrialIsBounded(t *testing.T) {
	const units, tag = 20 * trialMarks, 8 << 10
	x := NewTrial(1)
	var once Weighed
	for round := range 3 {
		for i := range uint64(units) {
			x.count(testFailed, hashed(fmt.Appendf(nil, "%d", i)), float64(1+i%199)/200, i%5 == 0)
			if i%trialMarks == 0 {
				text, err := x.Merge(testFailed, "")
				if err != nil || len(text) > tag {
					t.Fatalf("%d bytes, %v", len(text), err)
				}
			}
		}
		all, _ := x.weigh()
		if round == 0 {
			once = all[testFailed]
		} else if all[testFailed] != once {
			t.Errorf("%+v, then %+v when all came again", once, all[testFailed])
		}
	}
	if share := float64(once.Own) / float64(once.N); share < 0.15 || share > 0.25 || once.N < 2*trialMarks {
		t.Errorf("%+v of %d units", once, units)
	}
}

// TestManyServersAbortNoMore: of rollouts of a canary that is no worse, at most the stated share is aborted, however many servers judge it, each by what it
// has counted and the store has. A canary that is worse is found by all of them together, where none has seen enough itself.
func TestManyServersAbortNoMore(t *testing.T) {
	const runs, servers, units, level = 300, 40, 400, 0.1
	rollout := func(run int, hit float64) (alone, together bool, own int) {
		r := stat.NewRand(uint64(run))
		var stored string
		all := make([]*Trial, servers)
		counted := make([]int, servers)
		for k := range all {
			all[k] = NewTrial(1)
			all[k].Among(k + 1)
		}
		for i := range uint64(units) {
			k := int(r.Float64() * servers)
			x := all[k]
			counted[k]++
			x.count(testPairs, scatter(uint64(run)<<32+i), 0.5, r.Float64() < hit)
			_, e := x.weigh()
			alone = alone || e >= 1/level // what each would say by itself
			if x.Against() >= 1/level {
				return alone, true, counted[k]
			}
			if r.Float64() > 0.05 || !x.Due(testPairs, false) {
				continue
			}
			text, err := x.Merge(testPairs, stored)
			if err != nil {
				t.Fatal(err)
			}
			stored = text
			if x.Kept(testPairs); x.Against() >= 1/level {
				return alone, true, counted[k]
			}
		}
		return alone, false, 0
	}
	one, many := 0, 0
	for run := range runs {
		alone, together, _ := rollout(run, 0.5)
		if alone {
			one++
		}
		if together {
			many++
		}
	}
	t.Logf("of %d rollouts %d would be aborted where each server has the whole probability, and %d were", runs, one, many)
	most := level*runs + 3*math.Sqrt(runs*level*(1-level))
	if float64(many) > most || float64(one) <= most {
		t.Errorf("of %d rollouts %d were aborted, at most about %v should be; %d where each server has the whole probability", runs, many, level*runs, one)
	}
	found, seen := 0, 0
	for run := range 50 {
		if _, together, own := rollout(run, 0.9); together {
			found++
			seen = max(seen, own)
		}
	}
	if t.Logf("found %d of 50, by a server that had seen %v units at most", found, seen); found != 50 || seen > units/8 {
		t.Errorf("of 50 canaries that are worse %d were found, by a server that had seen %v units at most", found, seen)
	}
}
