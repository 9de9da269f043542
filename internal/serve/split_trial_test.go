package serve

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
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
