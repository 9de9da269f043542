package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

// few draws fingerprints from few values, so that they repeat and overlap.
func few(t *rapid.T, name string) []Fingerprint {
	out := []Fingerprint{}
	for _, b := range rapid.SliceOfN(rapid.ByteRange(0, 30), 1, 40).Draw(t, name) {
		out = append(out, Fingerprint{15: b})
	}
	return out
}

func in(rows, set []Fingerprint) (n int64) {
	for _, f := range rows {
		if slices.Contains(set, f) {
			n++
		}
	}
	return n
}

// TestOverlapProperty: the streaming merge counts what counting one by one does, whatever repeats, in any order.
func TestOverlapProperty(t *testing.T) {
	assaytest.Draws(t, 40)
	dir := scratch(t)
	rapid.Check(t, func(rt *rapid.T) {
		s, done := brief(t, dir)
		defer done()
		var sets [][]Fingerprint
		for i := range rapid.IntRange(1, 3).Draw(rt, "seals") {
			set := few(rt, "sealed")
			slices.SortFunc(set, func(a, b Fingerprint) int { return bytes.Compare(a[:], b[:]) })
			sealed(t, s, fmt.Sprint(i), set)
			sets = append(sets, set)
		}
		rows := few(rt, "rows")
		given := slices.Clone(rows)
		var want, got []string
		for i, set := range sets {
			a, b := in(rows, set), in(set, rows)
			if a == 0 {
				continue
			}
			want = append(want, fmt.Sprint(i, a, b))
		}
		os, err := s.Overlap(t.Context(), rows)
		if err != nil {
			rt.Fatal(err)
		}
		held, err := s.Sealed(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		for _, o := range os {
			i := slices.IndexFunc(held, o.Seal.same)
			got = append(got, fmt.Sprint(i, o.Rows, o.Sealed))
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
		if !slices.Equal(rows, given) {
			rt.Fatal("the caller's rows were changed")
		}
		if r, err := s.Fsck(t.Context()); err != nil || !r.Clean() {
			rt.Fatal(err, r.Problems)
		}
	})
}

// TestBudgetOfRepeatedRows: where rows repeat by nature, other rows of the same population start their own count, the same rows do not, and
// neither do those of which the split says that they are the same.
func TestBudgetOfRepeatedRows(t *testing.T) {
	s, done := brief(t, scratch(t))
	defer done()
	drawn := func(seed uint64) []Fingerprint { // 2,000 rows of 400 contents
		r := stat.NewRand(seed, 1)
		out := make([]Fingerprint, 2000)
		for i := range out {
			binary.BigEndian.PutUint64(out[i][8:], uint64(r.Intn(400)))
		}
		slices.SortFunc(out, func(a, b Fingerprint) int { return bytes.Compare(a[:], b[:]) })
		return out
	}
	first := sealed(t, s, "first", drawn(1))
	same, other := sealed(t, s, "same", drawn(1)), sealed(t, s, "other", drawn(2))
	alike := sealed(t, s, "alike", drawn(3), assay.Alike{Split: first.Split, Rows: 1500, By: "counts", Reason: "rounded"})
	_, _, err := s.Disclose(t.Context(), DisclosureRequest{Model: digest("m"), Split: first.Split, Rows: first.Rows, Metrics: []string{"x"}, Configuration: digest("c")})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct {
		seal  SealRecord
		reads int
	}{{first, 1}, {same, 1}, {other, 0}, {alike, 1}} {
		if got, err := s.Disclosures(t.Context(), w.seal.Split); err != nil || len(got) != w.reads {
			t.Errorf("%d reads of %s, want %d (%v)", len(got), w.seal.Split.Short(), w.reads, err)
		}
	}
	if r, err := s.Fsck(t.Context()); err != nil || !r.Clean() {
		t.Error(err, r.Problems)
	}
}

// TestBudgetProperty: however models, settings and metrics come, reads are numbered from 1 without a gap, each at its own level, and a request
// that was answered is answered again for nothing.
func TestBudgetProperty(t *testing.T) {
	assaytest.Draws(t, 40)
	dir := scratch(t)
	rapid.Check(t, func(rt *rapid.T) {
		s, done := brief(t, dir)
		defer done()
		seals := []SealRecord{sealed(t, s, "a", prints(0, 20)), sealed(t, s, "b", prints(0, 20)), sealed(t, s, "c", prints(10, 20))}
		var answered []assay.Disclosure
		var who []assay.Digest
		for range rapid.IntRange(1, 12).Draw(rt, "requests") {
			r := seals[rapid.IntRange(0, 2).Draw(rt, "seal")]
			q := DisclosureRequest{
				Model: digest(rapid.SampledFrom([]string{"m", "n", "o"}).Draw(rt, "model")), Split: r.Split, Rows: r.Rows,
				Metrics: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 3, rapid.ID).Draw(rt, "metrics"), Reason: "because",
				Configuration: digest(rapid.SampledFrom([]string{"settings", "others"}).Draw(rt, "configuration")),
			}
			rec, existing, err := s.Disclose(t.Context(), q)
			if err != nil {
				rt.Fatal(err)
			}
			d, err := assay.Decode[assay.Disclosure](rec.Evidence)
			if err != nil {
				rt.Fatal(err)
			}
			known := false
			for i, a := range answered {
				same := a.Split == d.Split || a.Split != seals[2].Split && d.Split != seals[2].Split // a and b are the same rows
				known = known || who[i] == q.Model && same && a.Configuration == q.Configuration && contains(a.Metrics, q.Metrics)
			}
			if existing != known {
				rt.Fatalf("existing %v of %+v after %+v", existing, q, answered)
			}
			if existing {
				continue
			}
			k := len(answered) + 1
			if d.Read != k || d.Level != 1-DefaultAlpha/float64(k) {
				rt.Fatalf("read %d at %v, want read %d", d.Read, d.Level, k)
			}
			answered, who = append(answered, d), append(who, q.Model)
		}
	})
}

// TestStageProperty: promotions and rollbacks move a stage as a stack does.
func TestStageProperty(t *testing.T) {
	assaytest.Draws(t, 40)
	dir := scratch(t)
	rapid.Check(t, func(rt *rapid.T) {
		s, done := brief(t, dir)
		defer done()
		ctx := t.Context()
		const n = 3
		var pass [n + 1]assay.Digest
		for i := 1; i <= n; i++ {
			m := model(t, s, fmt.Sprint(i))
			if _, _, err := s.Register(ctx, Registration{Name: "pay", Evidence: m.ID}); err != nil {
				rt.Fatal(err)
			}
			pass[i] = verdict(t, s, m.Subject, assay.Judgement{Policy: digest("p"), Stage: assay.StageStaging, Verdict: assay.Pass})
		}
		var stack []int
		for range rapid.IntRange(1, 10).Draw(rt, "moves") {
			held := 0
			if len(stack) > 0 {
				held = stack[len(stack)-1]
			}
			if i := rapid.IntRange(0, n).Draw(rt, "to"); i == 0 {
				_, err := s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageStaging, Expect: &held})
				if len(stack) < 2 {
					if assay.CodeOf(err) != assay.Refused {
						rt.Fatal(err)
					}
					continue
				}
				if err != nil {
					rt.Fatal(err)
				}
				stack = stack[:len(stack)-1]
			} else {
				if _, err := s.Promote(ctx, Move{Name: "pay", Number: i, Stage: assay.StageStaging, Verdict: pass[i], Policy: digest("p"), Expect: &held}); err != nil {
					rt.Fatal(err)
				}
				if i != held {
					stack = append(stack, i)
				}
			}
			if len(stack) == 0 {
				continue
			}
			if v, err := s.Holder(ctx, "pay", assay.StageStaging); err != nil || v.Number != stack[len(stack)-1] {
				rt.Fatalf("%v: version %d holds the stage, want %v", err, v.Number, stack)
			}
		}
		if r, err := s.Fsck(ctx); err != nil || !r.Clean() {
			rt.Fatal(err, r.Problems)
		}
	})
}
