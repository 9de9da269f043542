package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

func digest(s string) assay.Digest { return assay.DigestOf([]byte(s)) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v (try: %s)", assay.CodeOf(err), err, assay.HintOf(err))
		}
		return v
	}
}

// wants checks the code of err and that its message holds each of the texts.
func wants(t testing.TB, err error, code assay.Code, texts ...string) {
	t.Helper()
	if assay.CodeOf(err) != code {
		t.Fatalf("got %q (%v), want code %q", assay.CodeOf(err), err, code)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("message %q does not say %q", err, s)
		}
	}
}

func evidence(t testing.TB, kind assay.Kind, subject assay.Digest, parents []assay.Digest, payload any) assay.Evidence {
	t.Helper()
	return must(Evidence(kind, subject, parents, payload))(t)
}

func add(t testing.TB, s Store, kind assay.Kind, subject assay.Digest, parents []assay.Digest, payload any) assay.Record {
	t.Helper()
	return must(s.Append(t.Context(), nil, evidence(t, kind, subject, parents, payload)))(t)[0]
}

// model stores a model file and its evidence.
func model(t testing.TB, s Store, name string) assay.Record {
	t.Helper()
	d := must(blob.PutBytes(t.Context(), s.Blobs(), []byte("model "+name)))(t)
	return add(t, s, assay.KindModel, d, nil, assay.Model{Format: "onnx", Learner: name, File: assay.File{Name: "model.onnx", Bytes: 6, Digest: d}})
}

func verdict(t testing.TB, s Store, model assay.Digest, j assay.Judgement) assay.Digest {
	t.Helper()
	return add(t, s, assay.KindVerdict, model, nil, j).ID
}

// prints makes n sorted fingerprints, numbered from first.
func prints(first, n int) []Fingerprint {
	out := make([]Fingerprint, n)
	for i := range out {
		binary.BigEndian.PutUint64(out[i][8:], uint64(first+i))
	}
	return out
}

// sealed stores a split whose sealed part has the given rows, and seals it.
func sealed(t testing.TB, s Store, name string, rows []Fingerprint, alike ...assay.Alike) SealRecord {
	t.Helper()
	r := SealRecord{Data: digest("data " + name), Rows: digest("rows " + name), Count: int64(len(rows))}
	r.Split = add(t, s, assay.KindSplit, r.Data, nil, assay.Split{By: name, Sealed: assay.Test, Alike: alike, Parts: []assay.Part{
		{Name: assay.Train, Rows: 1, IDs: digest("train " + name)}, {Name: assay.Test, Rows: r.Count, IDs: r.Rows},
	}}).ID
	var b bytes.Buffer
	for _, f := range rows {
		b.Write(f[:])
	}
	r.Fingerprints = must(blob.PutBytes(t.Context(), s.Blobs(), b.Bytes()))(t)
	r.Labels = must(blob.PutBytes(t.Context(), s.Blobs(), []byte("labels "+name)))(t)
	if err := s.Seal(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func ptr(n int) *int { return &n }

// conformance is what every implementation of Store must pass. open returns an empty store, or the same one again for a name that
// was used before.
func conformance(t *testing.T, open func(t testing.TB, name string) Store) {
	ctx := context.Background()

	t.Run("append", func(t *testing.T) {
		s := open(t, "append")
		a := evidence(t, assay.KindDatasheet, digest("data"), nil, assay.Datasheet{Fields: map[string]string{"sources": "a survey"}})
		first := must(s.Append(ctx, map[string]string{"host": "one"}, a))(t)[0]
		if first.ID != must(ID(a))(t) || first.Entry.Seq != 1 || first.Entry.Context["host"] != "one" || first.Entry.Producer != "assay test" {
			t.Errorf("record %+v", first)
		}
		again := must(s.Append(ctx, map[string]string{"host": "two"}, a))(t)[0]
		if again.ID != first.ID || again.Entry.Hash != first.Entry.Hash {
			t.Errorf("a repeat gave another record: %+v", again)
		}
		got := must(s.Get(ctx, first.ID))(t)
		if !bytes.Equal(got.Payload, first.Payload) || got.Entry.Hash != first.Entry.Hash || !got.Entry.At.Equal(first.Entry.At) {
			t.Errorf("got %+v, want %+v", got, first)
		}
		if n := len(must(s.Journal(ctx, 0, 0))(t)); n != 1 {
			t.Errorf("%d journal entries for one fact", n)
		}
		child := evidence(t, assay.KindCI, digest("data"), []assay.Digest{first.ID, first.ID}, assay.CI{Verdict: assay.Pass})
		grandchild := evidence(t, assay.KindCI, digest("data"), []assay.Digest{must(ID(child))(t)}, assay.CI{Verdict: assay.Fail})
		both := must(s.Append(ctx, nil, child, grandchild))(t)
		if len(both) != 2 || len(both[0].Parents) != 1 || both[1].Entry.Seq != 3 {
			t.Errorf("batch %+v", both)
		}
		if ps := VerifyJournal("", must(s.Journal(ctx, 0, 0))(t)); len(ps) > 0 {
			t.Error(ps)
		}
	})

	t.Run("changes", func(t *testing.T) {
		s, other := open(t, "changes"), open(t, "changes")
		last := must(s.Changes(ctx))(t)
		if last != (Mark{}) {
			t.Fatalf("an empty store is at %+v", last)
		}
		m, second := model(t, s, "one"), model(t, s, "two")
		pass := func(r assay.Record) assay.Digest {
			return verdict(t, s, r.Subject, assay.Judgement{Policy: digest("p"), Stage: assay.StageStaging, Verdict: assay.Pass})
		}
		first, next := pass(m), pass(second)
		at := must(other.Changes(ctx))(t)
		if at.Journal != 4 || at.Registry != 0 {
			t.Errorf("after four pieces of evidence: %+v", at)
		}
		register := func(m assay.Record) func() error {
			return func() error {
				_, _, err := s.Register(ctx, Registration{Name: "pay", Evidence: m.ID})
				return err
			}
		}
		promote := func(number int, v assay.Digest) func() error {
			return func() error {
				_, err := s.Promote(ctx, Move{Name: "pay", Number: number, Stage: assay.StageStaging, Verdict: v, Policy: digest("p")})
				return err
			}
		}
		for _, step := range []struct {
			what   string
			do     func() error
			change bool
		}{
			{"register", register(m), true},
			{"register again", register(m), false},
			{"register another", register(second), true},
			{"promote", promote(1, first), true},
			{"promote again", promote(1, first), false},
			{"promote another", promote(2, next), true},
			{"roll back", func() error {
				_, err := s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageStaging})
				return err
			}, true},
			{"alias", func() error { return s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 1}) }, true},
			{"remove alias", func() error { return s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion"}) }, true},
			{"tag", func() error { return s.SetTags(ctx, "pay", 1, map[string]string{"a": "b"}) }, true},
			{"untag", func() error { return s.SetTags(ctx, "pay", 1, nil, "a") }, true},
			{"describe", func() error { return s.SetDescription(ctx, "pay", 0, "pays") }, true},
			{"evidence", func() error {
				_, err := s.Append(ctx, nil, evidence(t, assay.KindCI, digest("later"), nil, assay.CI{}))
				return err
			}, false},
			{"nothing", func() error { return s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 9}) }, false},
		} {
			before := must(s.Changes(ctx))(t)
			if err := step.do(); err != nil && step.what != "nothing" {
				t.Fatalf("%s: %v", step.what, err)
			}
			after := must(other.Changes(ctx))(t)
			if after.Registry < before.Registry || after.Journal < before.Journal || after.Registry > after.Journal {
				t.Errorf("%s: %+v after %+v", step.what, after, before)
			}
			if (after.Registry > before.Registry) != step.change {
				t.Errorf("%s: the registry went from %d to %d", step.what, before.Registry, after.Registry)
			}
			if head := must(s.Head(ctx))(t); head != after.Journal {
				t.Errorf("%s: the head is %d, and the mark %+v", step.what, head, after)
			}
		}
	})

	t.Run("refusals leave nothing", func(t *testing.T) {
		s := open(t, "refusals")
		good := evidence(t, assay.KindDatasheet, digest("data"), nil, assay.Datasheet{})
		orphan := evidence(t, assay.KindDatasheet, digest("data"), []assay.Digest{digest("nowhere")}, assay.Datasheet{Complete: true})
		_, err := s.Append(ctx, nil, good, orphan)
		wants(t, err, assay.Invalid, "derived from", digest("nowhere").Short())
		blobless := evidence(t, assay.KindCard, digest("model"), nil, assay.Card{Document: digest("card")})
		_, err = s.Append(ctx, nil, good, blobless)
		wants(t, err, assay.Invalid, "stands on blob", digest("card").Short())
		for payload, text := range map[string]string{
			`{"complete":true,"fields":{},"missing":[],"extra":1}`: "unknown field",
			`{"complete":true,"fields":{}}`:                        "/missing is missing",
			`{"complete":true,"fields":{},"missing":null}`:         "/missing must be a list",
			`{"complete":1,"fields":{},"missing":[]}`:              "cannot unmarshal number",
		} {
			_, err = s.Append(ctx, nil, assay.Evidence{Kind: assay.KindDatasheet, Version: 1, Subject: digest("data"), Payload: json.RawMessage(payload)})
			wants(t, err, assay.Invalid, text)
		}
		_, err = s.Append(ctx, nil, assay.Evidence{Kind: assay.KindDatasheet, Version: 9, Subject: digest("data"), Payload: json.RawMessage(`{}`)})
		wants(t, err, assay.Unimplemented, "newer than this build")
		_, err = s.Append(ctx, nil, evidence(t, assay.KindDisclosure, digest("m"), nil, assay.Disclosure{}))
		wants(t, err, assay.Refused, "written by the store itself")
		if n := len(must(s.Journal(ctx, 0, 0))(t)) + len(must(s.Find(ctx, Query{}))(t)); n != 0 {
			t.Errorf("%d things in the store after refusals", n)
		}
		_, err = s.Get(ctx, digest("nowhere"))
		wants(t, err, assay.NotFound)
	})

	t.Run("find", func(t *testing.T) {
		s := open(t, "find")
		var ids []assay.Digest
		for i := range 10 {
			var parents []assay.Digest
			if i%3 == 2 {
				parents = ids[:1]
			}
			kind, payload := assay.KindCI, any(assay.CI{Checks: []assay.CICheck{{Name: fmt.Sprint(i)}}})
			if i%2 == 1 {
				kind, payload = assay.KindDatasheet, assay.Datasheet{Missing: []string{fmt.Sprint(i)}}
			}
			ids = append(ids, add(t, s, kind, digest(fmt.Sprint(i%4)), parents, payload).ID)
		}
		for _, c := range []struct {
			q    Query
			want []int
		}{
			{Query{}, []int{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
			{Query{Kind: assay.KindCI}, []int{8, 6, 4, 2, 0}},
			{Query{Subject: digest("1")}, []int{9, 5, 1}},
			{Query{Kind: assay.KindCI, Subject: digest("1")}, nil},
			{Query{Parent: ids[0]}, []int{8, 5, 2}},
			{Query{Parent: ids[0], Kind: assay.KindCI}, []int{8, 2}},
			{Query{Limit: 2}, []int{9, 8}},
			{Query{Limit: 2, Before: 9}, []int{7, 6}},
		} {
			var got []int
			for _, r := range must(s.Find(ctx, c.q))(t) {
				got = append(got, slices.Index(ids, r.ID))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%+v: got %v, want %v", c.q, got, c.want)
			}
		}
		if es := must(s.Journal(ctx, 4, 3))(t); len(es) != 3 || es[0].Seq != 5 {
			t.Errorf("journal page %+v", es)
		}
		for _, prefix := range []string{string(ids[3]), ids[3].Hex(), ids[3].Hex()[:20], "sha256:" + ids[3].Hex()[:20]} {
			if got := must(s.Resolve(ctx, prefix))(t); got != ids[3] {
				t.Errorf("%s resolves to %s", prefix, got)
			}
		}
		_, err := s.Resolve(ctx, strings.Repeat("f", 40))
		wants(t, err, assay.NotFound)
		for _, bad := range []string{"", "abc", "zzzz", "ABCD", strings.Repeat("a", 65), "sha256:", "%%%%"} {
			_, err := s.Resolve(ctx, bad)
			wants(t, err, assay.Invalid)
		}
	})

	t.Run("windows", func(t *testing.T) {
		s := open(t, "windows")
		plans := []assay.Digest{add(t, s, assay.KindCI, digest("a"), nil, assay.CI{}).ID, add(t, s, assay.KindCI, digest("b"), nil, assay.CI{}).ID}
		report := must(blob.PutBytes(ctx, s.Blobs(), []byte("{}")))(t)
		type window struct {
			subject string
			plan    int
			number  int64
		}
		var all []window
		var ids []assay.Digest
		for i := range 600 { // in an order that is neither theirs nor its contrary, each several times
			w := window{fmt.Sprint("model", i/7%2), i / 5 % 2, int64(i*37%90) - 20}
			d := assay.Drift{Monitor: plans[w.plan], Window: assay.Window{Number: w.number, Rows: int64(i)}, Signals: []assay.Signal{}, Ranking: []assay.Cause{}, Report: report, Verdict: assay.Pass}
			all, ids = append(all, w), append(ids, add(t, s, assay.KindDrift, digest(w.subject), plans[w.plan:w.plan+1], d).ID)
		}
		for _, subject := range []string{"model0", "model1", "nobody"} {
			for plan := range plans {
				newest := map[int64]int{}
				for i, w := range all {
					if w.subject == subject && w.plan == plan {
						newest[w.number] = i
					}
				}
				want := slices.SortedFunc(maps.Keys(newest), func(a, b int64) int { return cmp.Compare(b, a) })
				for _, limit := range []int{0, 1, 7} {
					var got []int64
					for _, r := range must(s.Find(ctx, Query{Kind: assay.KindDrift, Subject: digest(subject), Parent: plans[plan], Windows: true, Limit: limit}))(t) {
						n := must(assay.Decode[assay.Drift](r.Evidence))(t).Window.Number
						if got = append(got, n); r.ID != ids[newest[n]] {
							t.Errorf("window %d of %s is not the newest record of it", n, subject)
						}
					}
					if limit == 0 || limit > len(want) {
						limit = len(want)
					}
					if !slices.Equal(got, want[:limit]) {
						t.Errorf("%s, plan %d: %v, want %v", subject, plan, got, want[:limit])
					}
				}
			}
		}
	})

	t.Run("registry", func(t *testing.T) {
		s := open(t, "registry")
		one, two := model(t, s, "one"), model(t, s, "two")
		v, created, err := s.Register(ctx, Registration{Name: "pay", Evidence: one.ID, Description: "first", Tags: map[string]string{"team": "a"}})
		if err != nil || !created || v.Number != 1 || v.Model != one.Subject || v.Tags["team"] != "a" || v.Stage != assay.StageNone {
			t.Fatalf("%+v %v %v", v, created, err)
		}
		if v, created, err = s.Register(ctx, Registration{Name: "pay", Evidence: one.ID}); err != nil || created || v.Number != 1 || v.Description != "first" {
			t.Fatalf("%+v %v %v", v, created, err)
		}
		if v, _, err = s.Register(ctx, Registration{Name: "pay", Evidence: two.ID}); err != nil || v.Number != 2 {
			t.Fatalf("%+v %v", v, err)
		}
		for _, bad := range []string{"", "a/b", "a:b", "a@b", " a", "..", "a\nb", strings.Repeat("x", 300), "\xff"} {
			_, _, err := s.Register(ctx, Registration{Name: bad, Evidence: one.ID})
			wants(t, err, assay.Invalid)
		}
		_, _, err = s.Register(ctx, Registration{Name: "pay", Evidence: verdict(t, s, one.Subject, assay.Judgement{})})
		wants(t, err, assay.Invalid, "is a verdict, not a model")
		_, err = s.Version(ctx, "pay", 3)
		wants(t, err, assay.NotFound)
		_, err = s.Versions(ctx, "nobody")
		wants(t, err, assay.NotFound)
		if vs := must(s.VersionsOf(ctx, two.Subject))(t); len(vs) != 1 || vs[0].Number != 2 {
			t.Errorf("%+v", vs)
		}

		if err := s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 1, Expect: ptr(0)}); err != nil {
			t.Fatal(err)
		}
		wants(t, s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 2, Expect: ptr(2)}), assay.Refused, "held by version 1")
		if err := s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 2, Expect: ptr(1)}); err != nil {
			t.Fatal(err)
		}
		if v := must(s.Alias(ctx, "pay", "champion"))(t); v.Number != 2 || !slices.Equal(v.Aliases, []string{"champion"}) {
			t.Errorf("%+v", v)
		}
		if err := s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion"}); err != nil {
			t.Fatal(err)
		}
		_, err = s.Alias(ctx, "pay", "champion")
		wants(t, err, assay.NotFound)
		wants(t, s.SetAlias(ctx, AliasMove{Name: "pay", Alias: "champion", Number: 7}), assay.NotFound)
		for _, bad := range []string{"latest", "Latest", "v12", "V1", "2", "007", "production", "Staging", "none", "archived", "a:b", ""} {
			wants(t, s.SetAlias(ctx, AliasMove{Name: "pay", Alias: bad, Number: 1}), assay.Invalid)
		}
		if err := s.SetTags(ctx, "pay", 1, map[string]string{"b": "2", "c": "3"}, "team", "absent"); err != nil {
			t.Fatal(err)
		}
		if err := s.SetTags(ctx, "pay", 0, map[string]string{"owner": "x"}); err != nil {
			t.Fatal(err)
		}
		if err := s.SetDescription(ctx, "pay", 0, "who pays"); err != nil {
			t.Fatal(err)
		}
		if err := s.SetDescription(ctx, "pay", 1, "the first"); err != nil {
			t.Fatal(err)
		}
		if v := must(s.Version(ctx, "pay", 1))(t); len(v.Tags) != 2 || v.Tags["c"] != "3" || v.Description != "the first" {
			t.Errorf("%+v", v)
		}
		if ms := must(s.Models(ctx))(t); len(ms) != 1 || ms[0].Latest != 2 || ms[0].Tags["owner"] != "x" || ms[0].Description != "who pays" {
			t.Errorf("%+v", ms)
		}
		wants(t, s.SetTags(ctx, "pay", 9, map[string]string{"a": "b"}), assay.NotFound)
		wants(t, s.SetTags(ctx, "nobody", 0, map[string]string{"a": "b"}), assay.NotFound)
		wants(t, s.SetTags(ctx, "pay", 1, map[string]string{"": "b"}), assay.Invalid)
		for _, m := range []TagMove{{Key: "seen", Value: "1"}, {Key: "seen", Value: "2", Expect: "1"}, {Key: "seen", Value: "2", Expect: "2"}} {
			m.Name, m.Number = "pay", 1
			if err := s.SetTag(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
		for _, expect := range []string{"", "1"} {
			wants(t, s.SetTag(ctx, TagMove{Name: "pay", Number: 1, Key: "seen", Value: "3", Expect: expect}), assay.Refused)
		}
		wants(t, s.SetTag(ctx, TagMove{Name: "pay", Number: 1, Key: "absent", Value: "3", Expect: "1"}), assay.Refused)
		wants(t, s.SetTag(ctx, TagMove{Name: "pay", Number: 9, Key: "seen"}), assay.NotFound)
		wants(t, s.SetTag(ctx, TagMove{Name: "pay", Number: 1}), assay.Invalid)
		if v := must(s.Version(ctx, "pay", 1))(t); v.Tags["seen"] != "2" || len(v.Tags) != 3 {
			t.Errorf("%+v", v)
		}
	})

	t.Run("a stopped request", func(t *testing.T) {
		s := open(t, "stopped")
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		e := evidence(t, assay.KindDatasheet, digest("data"), nil, assay.Datasheet{})
		_, err := s.Append(stopped, nil, e)
		wants(t, err, assay.Unavailable)
		_, err = s.Find(stopped, Query{})
		wants(t, err, assay.Unavailable)
		if n := len(must(s.Find(ctx, Query{}))(t)); n != 0 {
			t.Errorf("%d pieces of evidence from a stopped request", n)
		}
		must(s.Append(ctx, nil, e))(t)
	})

	t.Run("large", func(t *testing.T) {
		s := open(t, "large")
		big := assay.Datasheet{Fields: map[string]string{"sources": strings.Repeat("x", MaxPayloadBytes-1000)}}
		var parents []assay.Digest
		for i := range 200 {
			parents = append(parents, add(t, s, assay.KindCI, digest("data"), nil, assay.CI{Checks: []assay.CICheck{{Name: fmt.Sprint(i)}}}).ID)
		}
		r := add(t, s, assay.KindDatasheet, digest("data"), parents, big)
		got := must(s.Get(ctx, r.ID))(t)
		if len(got.Parents) != 200 || len(got.Payload) < MaxPayloadBytes-1000 {
			t.Errorf("%d parents, %d bytes", len(got.Parents), len(got.Payload))
		}
	})

	t.Run("contention", func(t *testing.T) { contention(t, open(t, "contention"), open(t, "contention")) })
	t.Run("promotion", func(t *testing.T) { promotion(t, open(t, "promotion")) })
	t.Run("seal", func(t *testing.T) { sealing(t, open(t, "seal")) })
}

// contention has two openings of one store do the same things at once.
func contention(t *testing.T, stores ...Store) {
	ctx := t.Context()
	const n = 8
	models, pass := make([]assay.Record, n), make([]assay.Digest, n)
	for i := range n {
		models[i] = model(t, stores[0], fmt.Sprint(i))
		pass[i] = verdict(t, stores[0], models[i].Subject, assay.Judgement{Policy: digest("p"), Stage: assay.StageProduction, Verdict: assay.Pass})
	}
	rows := sealed(t, stores[0], "rows", prints(0, 100))
	numbers, reads, promoted, refused := make([]int, n), make([]int, n), make([]bool, n), make([]bool, n)
	var registered, done sync.WaitGroup
	registered.Add(n)
	for i := range n {
		done.Go(func() {
			s := stores[i%len(stores)]
			v, _, err := s.Register(ctx, Registration{Name: "pay", Evidence: models[i].ID})
			if err != nil {
				t.Error(err)
			}
			numbers[i] = v.Number
			registered.Done()
			registered.Wait()
			_, err = s.Promote(ctx, Move{Name: "pay", Number: v.Number, Stage: assay.StageProduction, Verdict: pass[i], Policy: digest("p"), Expect: ptr(0)})
			promoted[i], refused[i] = err == nil, assay.CodeOf(err) == assay.Refused
			r, _, err := s.Disclose(ctx, DisclosureRequest{Model: models[i].Subject, Split: rows.Split, Rows: rows.Rows, Metrics: []string{"m"}, Configuration: digest("settings"), Reason: "a race"})
			if err != nil {
				t.Error(err)
				return
			}
			if d, err := assay.Decode[assay.Disclosure](r.Evidence); err == nil {
				reads[i] = d.Read
			}
		})
	}
	done.Wait()
	slices.Sort(numbers)
	slices.Sort(reads)
	for i := range n {
		if numbers[i] != i+1 || reads[i] != i+1 {
			t.Fatalf("versions %v, reads %v", numbers, reads)
		}
	}
	won := 0
	for i := range n {
		if promoted[i] {
			won++
		} else if !refused[i] {
			t.Error("a promotion that lost the race was not refused")
		}
	}
	if won != 1 {
		t.Errorf("%d promotions expected an empty stage and got it", won)
	}
	if r := must(stores[0].Fsck(ctx))(t); !r.Clean() {
		t.Errorf("%+v", r.Problems)
	}
}

func promotion(t *testing.T, s Store) {
	ctx := t.Context()
	policy := digest("policy")
	var models [4]assay.Record
	var pass [4]assay.Digest
	for i := 1; i <= 3; i++ {
		models[i] = model(t, s, fmt.Sprint(i))
		if _, _, err := s.Register(ctx, Registration{Name: "pay", Evidence: models[i].ID}); err != nil {
			t.Fatal(err)
		}
		pass[i] = verdict(t, s, models[i].Subject, assay.Judgement{Policy: policy, Stage: assay.StageProduction, Verdict: assay.Pass})
	}
	move := func(n int) Move {
		return Move{Name: "pay", Number: n, Stage: assay.StageProduction, Verdict: pass[n], Policy: policy}
	}
	refuse := func(m Move, code assay.Code, texts ...string) {
		t.Helper()
		before := len(must(s.Journal(ctx, 0, 0))(t))
		_, err := s.Promote(ctx, m)
		wants(t, err, code, texts...)
		if after := len(must(s.Journal(ctx, 0, 0))(t)); after != before {
			t.Errorf("a refusal wrote %d entries", after-before)
		}
	}
	m := move(1)
	m.Verdict = pass[2]
	refuse(m, assay.Refused, "the verdict is about model")
	m = move(1)
	m.Policy = digest("another policy")
	refuse(m, assay.Refused, "applies policy")
	m = move(1)
	m.Verdict = verdict(t, s, models[1].Subject, assay.Judgement{Policy: policy, Stage: assay.StageStaging, Verdict: assay.Pass})
	refuse(m, assay.Refused, "is for staging, not for production")
	for _, v := range []assay.Verdict{assay.Fail, assay.Undetermined, ""} {
		m.Verdict = verdict(t, s, models[1].Subject, assay.Judgement{Policy: policy, Stage: assay.StageProduction, Verdict: v})
		refuse(m, assay.Refused, "the verdict is "+string(v))
	}
	m.Verdict = models[1].ID
	refuse(m, assay.Refused, "is a model, not a verdict")
	m.Verdict = digest("nowhere")
	refuse(m, assay.NotFound)
	m = move(1)
	m.Expect = ptr(2)
	refuse(m, assay.Refused, "held by no version, not by version 2")
	m = move(1)
	m.Stage = assay.StageArchived
	refuse(m, assay.Invalid)
	m = move(1)
	m.Number = 9
	refuse(m, assay.NotFound)
	_, err := s.Holder(ctx, "pay", assay.StageProduction)
	wants(t, err, assay.NotFound)
	_, err = s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageProduction})
	wants(t, err, assay.Refused, "held production before")

	holder := func(want int) {
		t.Helper()
		if v := must(s.Holder(ctx, "pay", assay.StageProduction))(t); v.Number != want || v.Stage != assay.StageProduction {
			t.Fatalf("production is held by %+v, want version %d", v, want)
		}
	}
	m = move(1)
	m.Expect = ptr(0)
	first := must(s.Promote(ctx, m))(t)
	holder(1)
	p := must(assay.Decode[assay.Promotion](first.Evidence))(t)
	if p.Version != 1 || p.Previous != 0 || p.From != assay.StageNone || first.Subject != models[1].Subject || !slices.Contains(first.Parents, pass[1]) {
		t.Errorf("%+v", p)
	}
	if again := must(s.Promote(ctx, move(1)))(t); again.ID != first.ID {
		t.Error("promoting the holder made another evidence")
	}
	m = move(2)
	m.Expect = ptr(1)
	second := must(s.Promote(ctx, m))(t)
	must(s.Promote(ctx, move(3)))(t)
	holder(3)
	if v := must(s.Version(ctx, "pay", 2))(t); v.Stage != assay.StageArchived {
		t.Errorf("the previous holder is %s", v.Stage)
	}
	_, err = s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageProduction, Expect: ptr(2)})
	wants(t, err, assay.Refused, "held by version 3, not by version 2")
	back := must(s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageProduction, Expect: ptr(3)}))(t)
	holder(2)
	if p := must(assay.Decode[assay.Promotion](back.Evidence))(t); !p.Rollback || p.Version != 2 || p.Previous != 3 || p.From != assay.StageArchived {
		t.Errorf("%+v", p)
	}
	must(s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageProduction}))(t)
	holder(1)
	_, err = s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageProduction})
	wants(t, err, assay.Refused)
	must(s.Promote(ctx, move(2)))(t)
	holder(2)
	if h := must(s.History(ctx, "pay", 0))(t); len(h) != 9 || h[0].Action != "promote" || h[1].Action != "rollback" || h[0].Previous != 1 || h[8].Action != "register" {
		t.Errorf("%+v", h)
	}
	must(s.Rollback(ctx, Back{Name: "pay", Stage: assay.StageProduction}))(t)
	third := must(s.Promote(ctx, move(2)))(t)
	holder(2)
	if third.ID == second.ID {
		t.Error("a move from another stage is another fact")
	}
	if ps := VerifyJournal("", must(s.Journal(ctx, 0, 0))(t)); len(ps) > 0 {
		t.Error(ps)
	}
}

func sealing(t *testing.T, s Store) {
	ctx := t.Context()
	first := sealed(t, s, "first", prints(0, 1000))
	if err := s.Seal(ctx, first); err != nil {
		t.Fatalf("sealing again: %v", err)
	}
	other := first
	other.Labels = must(blob.PutBytes(ctx, s.Blobs(), []byte("forged")))(t)
	wants(t, s.Seal(ctx, other), assay.Exists)
	bad := first
	bad.Count, bad.Data = 999, digest("x")
	wants(t, s.Seal(ctx, bad), assay.Invalid, "the split is of data", "not 999 rows", "1000 fingerprints for 999 rows")
	bad = first
	bad.Fingerprints = must(blob.PutBytes(ctx, s.Blobs(), []byte("seventeen bytes!!")))(t)
	wants(t, s.Seal(ctx, bad), assay.Invalid, "cut off")
	bad.Fingerprints, bad.Labels = digest("nowhere"), "sha256:../../etc/passwd"
	wants(t, s.Seal(ctx, bad), assay.Invalid, "the fingerprints", "the labels")
	_, err := s.Blobs().Open(ctx, first.Labels)
	wants(t, err, assay.Refused, "sealed labels")

	// Overlap: rows in any order, repeated rows counted as often as they come.
	rows := append(prints(990, 20), prints(995, 1)...)
	slices.Reverse(rows)
	if got := must(s.Overlap(ctx, rows))(t); len(got) != 1 || got[0].Rows != 11 || got[0].Sealed != 10 || got[0].Seal.Split != first.Split {
		t.Errorf("%+v", got)
	}
	if got := must(s.Overlap(ctx, prints(1000, 50)))(t); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := must(s.Overlap(ctx, prints(0, 1000)))(t); len(got) != 1 || got[0].Rows != 1000 || got[0].Sealed != 1000 {
		t.Errorf("the set itself, used as training rows, is not found: %+v", got)
	}
	if got := must(s.Overlap(ctx, rows, first.Fingerprints))(t); len(got) != 0 {
		t.Errorf("an excepted set overlaps: %+v", got)
	}

	settings := digest("settings")
	ask := func(model string, r SealRecord, reason string, metrics ...string) (assay.Record, bool, error) {
		return s.Disclose(ctx, DisclosureRequest{Model: digest(model), Split: r.Split, Rows: r.Rows, Reason: reason, Metrics: append(metrics, "roc_auc_score"), Configuration: settings})
	}
	read := func(r assay.Record) (int, float64) {
		p := must(assay.Decode[assay.Disclosure](r.Evidence))(t)
		return p.Read, p.Level
	}
	one, existing, err := ask("a", first, "")
	if err != nil || existing {
		t.Fatal(existing, err)
	}
	if k, level := read(one); k != 1 || level != 1-0.05 {
		t.Errorf("read %d at level %v", k, level)
	}
	again, existing, err := ask("a", first, "")
	if err != nil || !existing || again.ID != one.ID {
		t.Errorf("the same request spent again: %v %v", existing, err)
	}
	_, _, err = ask("a", first, "", "log_loss")
	wants(t, err, assay.Refused, "were read once before", "needs a reason")
	_, _, err = ask("b", first, "")
	wants(t, err, assay.Refused, "needs a reason")
	settings = digest("another threshold")
	_, _, err = ask("a", first, "")
	wants(t, err, assay.Refused, "were read once before", "needs a reason", "0.9750")
	settings = digest("settings")
	two, _, err := ask("b", first, "a second candidate")
	if err != nil {
		t.Fatal(err)
	}
	if k, level := read(two); k != 2 || level != 1-0.05/2 {
		t.Errorf("read %d at level %v", k, level)
	}

	// The same rows under another name are the same rows; a distant set starts afresh; a small part counts as the whole.
	renamed := sealed(t, s, "renamed", prints(0, 1000))
	if again, existing, err := ask("a", renamed, ""); err != nil || !existing || again.ID != one.ID {
		t.Errorf("the same rows under another name: %v %v", existing, err)
	}
	_, _, err = ask("c", renamed, "")
	wants(t, err, assay.Refused, "were read 2 times before")
	distant := sealed(t, s, "distant", prints(950, 1000))
	if r, _, err := ask("a", distant, ""); err != nil {
		t.Error(err)
	} else if k, _ := read(r); k != 1 {
		t.Errorf("read %d of rows that overlap by a twentieth", k)
	}
	part := sealed(t, s, "part", prints(100, 50))
	r, _, err := ask("c", part, "a part")
	if err != nil {
		t.Fatal(err)
	}
	if k, _ := read(r); k != 3 {
		t.Errorf("read %d of a part of rows that were read twice", k)
	}
	if ds := must(s.Disclosures(ctx, first.Split))(t); len(ds) != 3 || ds[0].ID != one.ID || ds[2].ID != r.ID {
		t.Errorf("%+v", ds)
	}
	_, _, err = s.Disclose(ctx, DisclosureRequest{Model: digest("a"), Split: digest("nowhere"), Rows: first.Rows, Metrics: []string{"f1_score"}, Configuration: settings})
	wants(t, err, assay.NotFound, "no sealed labels")
	_, _, err = s.Disclose(ctx, DisclosureRequest{Model: digest("a"), Split: first.Split, Rows: digest("other rows"), Metrics: []string{"f1_score"}, Configuration: settings})
	wants(t, err, assay.Refused, "the sealed rows")
	for _, q := range []DisclosureRequest{
		{Model: "a", Metrics: []string{"m"}, Configuration: settings},
		{Model: digest("a"), Configuration: settings},
		{Model: digest("a"), Metrics: []string{"m"}},
		{Model: digest("a"), Metrics: []string{"m"}, Configuration: settings, Alpha: 1},
		{Model: digest("a"), Metrics: []string{"m"}, Configuration: settings, Alpha: -1},
	} {
		_, _, err = s.Disclose(ctx, q)
		wants(t, err, assay.Invalid)
	}

	l := must(s.SealedLabels(ctx, two.ID))(t)
	defer l.Close()
	if b := must(io.ReadAll(l))(t); string(b) != "labels first" {
		t.Errorf("labels %q", b)
	}
	for _, id := range []assay.Digest{digest("nowhere"), first.Split, ""} {
		_, err = s.SealedLabels(ctx, id)
		wants(t, err, assay.Refused, "no recorded disclosure")
	}
}
