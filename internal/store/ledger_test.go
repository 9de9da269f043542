package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
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

// TestBudgetProperty: however models, settings, metrics and levels come, reads are numbered from 1 without a gap, each at the level that the
// smallest α so far gives it, and a request that was answered is answered again for nothing.
func TestBudgetProperty(t *testing.T) {
	assaytest.Draws(t, 40)
	dir := scratch(t)
	rapid.Check(t, func(rt *rapid.T) {
		s, done := brief(t, dir)
		defer done()
		seals := []SealRecord{sealed(t, s, "a", prints(0, 20)), sealed(t, s, "b", prints(0, 20)), sealed(t, s, "c", prints(10, 20))}
		var answered []assay.Disclosure
		var who []assay.Digest
		least := 1.0
		for range rapid.IntRange(1, 12).Draw(rt, "requests") {
			r := seals[rapid.IntRange(0, 2).Draw(rt, "seal")]
			q := DisclosureRequest{
				Model: digest(rapid.SampledFrom([]string{"m", "n", "o"}).Draw(rt, "model")), Split: r.Split, Rows: r.Rows,
				Metrics: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 1, 3, rapid.ID).Draw(rt, "metrics"), Reason: "because",
				Configuration: digest(rapid.SampledFrom([]string{"settings", "others"}).Draw(rt, "configuration")),
				Alpha:         rapid.SampledFrom([]float64{0, 0.01, 1 - 0.95, 0.1, 1 - 0.51}).Draw(rt, "alpha"),
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
			if least = min(least, cmp.Or(q.Alpha, DefaultAlpha)); d.Read != k || math.Abs(d.Level-(1-least/float64(k))) > 1e-12 {
				rt.Fatalf("read %d at %v with α %v, want read %d at %v", d.Read, d.Level, q.Alpha, k, 1-least/float64(k))
			}
			if k > 1 && d.Level <= answered[k-2].Level {
				rt.Fatalf("read %d at %v is no stricter than the one before it, at %v", k, d.Level, answered[k-2].Level)
			}
			answered, who = append(answered, d), append(who, q.Model)
		}
	})
}

// TestBudgetLoosened: a level that is lowered after a read loosens nothing, whether it was the usual one or not; a stricter one binds from
// then on; and levels come out as they would of the first α, to the last bit.
func TestBudgetLoosened(t *testing.T) {
	s, done := brief(t, scratch(t))
	defer done()
	for name, reads := range map[string][]struct{ alpha, level float64 }{
		"usual":  {{1 - 0.95, 0.95}, {1 - 0.51, 0.975}, {0.05, 1 - 0.05/3}, {0.49, 1 - 0.05/4}},
		"stated": {{1 - 0.9, 0.9}, {1 - 0.8, 0.95}, {1 - 0.99, 1 - 0.01/3}, {0, 1 - 0.01/4}},
	} {
		from := map[string]int{"usual": 0, "stated": 100}[name]
		r := sealed(t, s, name, prints(from, 50))
		for i, w := range reads {
			rec, _, err := s.Disclose(t.Context(), DisclosureRequest{
				Model: digest("m"), Split: r.Split, Rows: r.Rows, Metrics: []string{"x"}, Configuration: digest(fmt.Sprint(i)), Reason: "because", Alpha: w.alpha,
			})
			if err != nil {
				t.Fatal(err)
			}
			if d, err := assay.Decode[assay.Disclosure](rec.Evidence); err != nil || d.Read != i+1 || d.Level != w.level {
				t.Errorf("%s: read %d at level %v, want read %d at %v (%v)", name, d.Read, d.Level, i+1, w.level, err)
			}
		}
	}
}

// TestDamagedLedgerIsRefused: where the ledger and the disclosures differ, nothing is disclosed and nothing promoted.
func TestDamagedLedgerIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ sql, want string }{
		"emptied":              {`DELETE FROM disclosures`, "it lacks the lines of 1 disclosures, and 0 of its lines are of none"},
		"a line of none":       {`UPDATE disclosures SET evidence = 'sha256:00'`, "it lacks the lines of 1 disclosures, and 1 of its lines are of none"},
		"the evidence is gone": {`DELETE FROM evidence WHERE kind = 'disclosure'`, "it lacks the lines of 0 disclosures, and 1 of its lines are of none"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := scratch(t)
			s := openDir(t, dir)
			populate(t, s)
			all := must(s.Sealed(t.Context()))(t)
			m := model(t, s, "three")
			v := must(s.Find(t.Context(), Query{Kind: assay.KindVerdict}))(t)[1]
			disclose := func() error {
				_, _, err := s.Disclose(t.Context(), DisclosureRequest{Model: m.Subject, Split: all[1].Split, Rows: all[1].Rows, Metrics: []string{"x"}, Configuration: digest("settings"), Reason: "because"})
				return err
			}
			promote := func() error {
				_, err := s.Promote(t.Context(), Move{Name: "pay", Number: 1, Stage: assay.StageStaging, Verdict: v.ID, Policy: digest("p")})
				return err
			}
			tamper(t, dir, c.sql)
			wants(t, disclose(), assay.Refused, "the ledger is damaged", c.want)
			wants(t, promote(), assay.Refused, "the ledger is damaged", c.want)
			if h := must(s.Holder(t.Context(), "pay", assay.StageStaging))(t); h.Number != 2 {
				t.Errorf("version %d holds the stage", h.Number)
			}
			if r := must(s.Fsck(t.Context()))(t); r.Clean() {
				t.Error("fsck finds nothing")
			}
		})
	}
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
