package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

// MaxManifestBytes bounds a blob that names further blobs.
const MaxManifestBytes = 64 << 20

// A Report is what Fsck found.
type Report struct {
	Evidence int64     `json:"evidence"` // how many were looked at
	Entries  int64     `json:"entries"`
	Blobs    int64     `json:"blobs"`
	Problems []Problem `json:"problems"` // what is missing or altered
	Orphans  []Problem `json:"orphans"`  // what nothing refers to, and what interrupted writes left: harmless
}

// A Problem is one thing that is not as it should be.
type Problem struct {
	Code   string       `json:"code"` // missing, altered, dangling, unreadable, orphan, temporary, foreign, undetermined
	What   string       `json:"what"` // database, journal, checkpoint, evidence, blob, model, version, stage, alias, tag, history, seal, ledger, part, labels, message
	ID     assay.Digest `json:"id,omitempty"`
	Detail string       `json:"detail"`
}

// Clean reports whether nothing is missing or altered. Orphans do not count.
func (r Report) Clean() bool { return len(r.Problems) == 0 }

// fsck is one look at everything.
type fsck struct {
	*SQLite
	report Report

	kinds     map[assay.Digest]assay.Kind // of every evidence whose row can be read
	subjects  map[assay.Digest]assay.Digest
	entries   map[int64]assay.Entry
	needed    map[assay.Digest]string // blobs that something stands on, and what
	manifests map[assay.Digest]bool   // those of them that name further blobs
	mentioned map[assay.Digest]bool   // blobs that a payload names in any field
}

func (f *fsck) problem(code, what string, id assay.Digest, format string, args ...any) {
	f.report.Problems = append(f.report.Problems, Problem{code, what, id, fmt.Sprintf(format, args...)})
}

func newFsck(s *SQLite) *fsck {
	return &fsck{
		SQLite: s, report: Report{Problems: []Problem{}, Orphans: []Problem{}},
		kinds: map[assay.Digest]assay.Kind{}, subjects: map[assay.Digest]assay.Digest{}, entries: map[int64]assay.Entry{},
		needed: map[assay.Digest]string{}, manifests: map[assay.Digest]bool{}, mentioned: map[assay.Digest]bool{},
	}
}

// Fsck implements Store. The rows are looked at as they are at one moment; blobs after that, each read to its end.
func (s *SQLite) Fsck(ctx context.Context, kept ...Checkpoint) (Report, error) {
	f := newFsck(s)
	err := s.snapshot(ctx, "the store cannot be checked", func(tx *sql.Tx) error {
		for _, look := range []func(context.Context, queryer) error{f.database, f.journal, f.evidence, f.parents, f.registry, f.history, f.seals, f.ledger} {
			if err := look(ctx, tx); corrupt(err) {
				f.problem("altered", "database", "", "the database file is damaged: %s", err)
			} else if err != nil {
				return err
			}
		}
		for _, c := range kept {
			if err := f.checkpoint(ctx, tx, c); err != nil && !corrupt(err) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Report{}, err
	}
	if err := f.blobs(ctx); err != nil {
		return Report{}, err
	}
	return f.report, nil
}

func (f *fsck) database(ctx context.Context, q queryer) error {
	err := each(ctx, q, func(scan func(...any) error) error {
		var line string
		if err := scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			f.problem("altered", "database", "", "integrity check: %s", line)
		}
		return nil
	}, `PRAGMA integrity_check`)
	if err != nil {
		return err
	}
	err = each(ctx, q, func(scan func(...any) error) error {
		var table, parent string
		var row sql.NullInt64
		var key int
		if err := scan(&table, &row, &parent, &key); err != nil {
			return err
		}
		f.problem("dangling", "database", "", "a row of %s points at nothing in %s", table, parent)
		return nil
	}, `PRAGMA foreign_key_check`)
	if err != nil {
		return err
	}
	// A trigger that is gone means that rows could be edited without a trace in the schema.
	var n int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'`).Scan(&n); err != nil {
		return err
	}
	ddl, err := migrations.ReadFile("migrations/00001_store.sql")
	if err != nil {
		return err
	}
	if want := bytes.Count(ddl, []byte("CREATE TRIGGER")); n < want {
		f.problem("missing", "database", "", "%d of the %d triggers that keep records from being changed are gone", want-n, want)
	}
	return nil
}

func (f *fsck) journal(ctx context.Context, q queryer) error {
	var last assay.Entry
	return each(ctx, q, func(scan func(...any) error) error {
		var seq int64
		var about, hash assay.Digest
		var body []byte
		if err := scan(&seq, &about, &body, &hash); err != nil {
			return err
		}
		f.report.Entries++
		if seq != last.Seq+1 {
			f.problem("missing", "journal", "", "entries %d to %d", last.Seq+1, seq-1)
		}
		if assay.DigestOf(body) != hash {
			f.problem("altered", "journal", about, "entry %d: its hash does not cover it", seq)
		}
		e, err := readEntry(body, hash)
		if err != nil {
			f.problem("altered", "journal", about, "entry %d cannot be read", seq)
			e = assay.Entry{Seq: seq, Evidence: about, Hash: hash}
		} else {
			if canonical, _, err := entryHash(e); err != nil || !bytes.Equal(canonical, body) {
				f.problem("altered", "journal", about, "entry %d is not in canonical form", seq)
			}
			if e.Seq != seq || e.Evidence != about {
				f.problem("altered", "journal", about, "entry %d was moved: it says that it is entry %d about %s", seq, e.Seq, e.Evidence.Short())
			}
			if e.Previous != last.Hash {
				f.problem("altered", "journal", about, "entry %d does not follow the entry before it", seq)
			}
		}
		e.Seq = seq
		if d := e.Context[assay.LogContext]; d != "" {
			f.needed[assay.Digest(d)] = fmt.Sprintf("journal entry %d", seq)
		}
		f.entries[seq], last = e, e
		return nil
	}, `SELECT seq, evidence, body, hash FROM journal ORDER BY seq`)
}

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

func (f *fsck) evidence(ctx context.Context, q queryer) error {
	brought := map[assay.Digest]int64{}
	for _, seq := range slices.Sorted(maps.Keys(f.entries)) {
		if e := f.entries[seq]; brought[e.Evidence] == 0 {
			brought[e.Evidence] = seq
		}
	}
	parents := map[assay.Digest][]assay.Digest{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var seq int64
		var id assay.Digest
		var e assay.Evidence
		var list string
		var payload []byte
		if err := scan(&seq, &id, &e.Kind, &e.Version, &e.Subject, &list, &payload); err != nil {
			return err
		}
		f.report.Evidence++
		e.Parents, e.Payload = split(list), payload
		f.kinds[id], f.subjects[id], parents[id] = e.Kind, e.Subject, e.Parents
		for _, d := range digestPattern.FindAll(payload, -1) {
			f.mentioned[assay.Digest(d)] = true
		}
		f.mentioned[e.Subject] = true
		if got, err := canonical(e); err != nil || got.id != id || !bytes.Equal(got.payload, payload) || join(e.Parents) != list {
			f.problem("altered", "evidence", id, "its content does not have its id")
			return nil
		}
		if brought[id] != seq {
			f.problem("missing", "journal", id, "no entry %d tells who brought this evidence", seq)
		}
		k, err := lookupKind(e.Kind, e.Version)
		if err != nil {
			f.problem("unreadable", "evidence", id, "%s", err)
			return nil
		}
		p, err := k.decode(payload)
		if err != nil {
			f.problem("unreadable", "evidence", id, "%s", err)
			return nil
		}
		for _, d := range k.Blobs(p) {
			f.needed[d] = fmt.Sprintf("%s evidence %s", e.Kind, id.Short())
		}
		for _, d := range k.manifests(p) {
			f.manifests[d] = true
		}
		return nil
	}, `SELECT seq, id, kind, version, subject, parents, payload FROM evidence ORDER BY seq`)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(brought)) {
		if _, ok := f.kinds[id]; !ok {
			f.problem("missing", "evidence", id, "journal entry %d tells of it", brought[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(parents)) {
		for _, p := range parents[id] {
			if _, ok := f.kinds[p]; !ok {
				f.problem("missing", "evidence", p, "evidence %s was derived from it", id.Short())
			}
		}
	}
	return nil
}

// parents holds the table that finds children against the evidence itself.
func (f *fsck) parents(ctx context.Context, q queryer) error {
	return each(ctx, q, func(scan func(...any) error) error {
		var id, said, listed assay.Digest
		if err := scan(&id, &said, &listed); err != nil {
			return err
		}
		f.problem("altered", "evidence", id, "the index of its parents is wrong")
		return nil
	}, `SELECT id, parents, listed FROM (SELECT e.id, e.parents, coalesce((SELECT group_concat(parent, ' ') FROM
		(SELECT p.parent FROM parents p WHERE p.child = e.seq ORDER BY p.parent)), '') AS listed FROM evidence e) WHERE parents <> listed`)
}

// listed adds what the manifests name to what is needed. A manifest that is gone or damaged is found with the other blobs.
func (f *fsck) listed(ctx context.Context) error {
	for _, m := range slices.Sorted(maps.Keys(f.manifests)) {
		b, err := blob.ReadAll(ctx, f.SQLite.blobs, m, MaxManifestBytes)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue
		}
		for _, d := range digestPattern.FindAll(b, -1) {
			if d := assay.Digest(d); f.needed[d] == "" {
				f.needed[d] = "manifest " + m.Short() + " of " + f.needed[m]
			}
		}
	}
	return nil
}

func (f *fsck) blobs(ctx context.Context) error {
	if err := f.listed(ctx); err != nil {
		return err
	}
	present := map[assay.Digest]bool{}
	err := f.SQLite.blobs.Each(ctx, func(d assay.Digest, size int64) error {
		f.report.Blobs++
		present[d] = true
		r, err := f.SQLite.blobs.Open(ctx, d)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			err = errors.Join(err, r.Close())
		}
		if err != nil && ctx.Err() == nil {
			f.problem("altered", "blob", d, "%s", err)
			return nil
		}
		if _, ok := f.needed[d]; !ok && !f.mentioned[d] {
			f.report.Orphans = append(f.report.Orphans, Problem{"orphan", "blob", d, fmt.Sprintf("%d bytes that no evidence names", size)})
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	for _, d := range slices.Sorted(maps.Keys(f.needed)) {
		if !present[d] {
			f.problem("missing", "blob", d, "%s stands on it", f.needed[d])
		}
	}
	strays, err := f.SQLite.blobs.Strays(ctx)
	if err != nil {
		return err
	}
	for _, s := range strays {
		f.report.Orphans = append(f.report.Orphans, strayProblem(s))
	}
	return nil
}

func strayProblem(s blob.Stray) Problem {
	if s.Temporary {
		return Problem{"temporary", "blob", "", fmt.Sprintf("%s: %d bytes of a write in progress, or of an interrupted one", s.Name, s.Bytes)}
	}
	return Problem{"foreign", "blob", "", fmt.Sprintf("%s: %d bytes that are no blob", s.Name, s.Bytes)}
}

// stands checks that a journal entry repeats the given context.
func (f *fsck) stands(what string, seq int64, prefix string, want map[string]string) {
	e, ok := f.entries[seq]
	if !ok {
		f.problem("missing", "journal", "", "%s stands on entry %d", what, seq)
		return
	}
	got := map[string]string{}
	for k, v := range e.Context {
		if strings.HasPrefix(k, prefix) {
			got[k] = v
		}
	}
	if !maps.Equal(got, want) {
		f.problem("altered", strings.Fields(what)[0], e.Evidence, "%s is not what journal entry %d says", what, seq)
	}
}

func (f *fsck) seals(ctx context.Context, q queryer) error {
	held, err := seals(ctx, q, ``)
	if err != nil {
		return err
	}
	common := map[int64][]overlap{}
	err = each(ctx, q, func(scan func(...any) error) error {
		var o overlap
		var newer int64
		err := scan(&o.seq, &newer, &o.older, &o.mine)
		common[newer] = append(common[newer], o)
		return err
	}, `SELECT older, newer, older_rows, newer_rows FROM overlaps`)
	if err != nil {
		return err
	}
	at := map[int64]bool{}
	for _, s := range held {
		at[s.seq] = true
		f.stands("seal of split "+s.Split.Short(), s.seq, "seal_", s.context(common[s.seq]))
		if f.entries[s.seq].Evidence != s.Split || f.kinds[s.Split] != assay.KindSplit {
			f.problem("dangling", "seal", s.Split, "it is of no split")
		}
		f.needed[s.Fingerprints] = "the seal of split " + s.Split.Short()
		f.needed[s.Labels] = "the seal of split " + s.Split.Short()
	}
	for _, seq := range slices.Sorted(maps.Keys(f.entries)) {
		if _, ok := f.entries[seq].Context["seal_rows"]; ok && !at[seq] {
			f.problem("missing", "seal", f.entries[seq].Evidence, "journal entry %d tells of it", seq)
		}
	}
	return nil
}

func (f *fsck) ledger(ctx context.Context, q queryer) error {
	told := map[assay.Digest]bool{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var seq int64
		var id, model, split assay.Digest
		if err := scan(&seq, &id, &model, &split); err != nil {
			return err
		}
		told[id] = true
		if f.kinds[id] != assay.KindDisclosure || f.subjects[id] != model || f.entries[seq].Evidence != id {
			f.problem("altered", "ledger", id, "the line is not what the disclosure says")
			return nil
		}
		r, err := get(ctx, q, id)
		if assay.CodeOf(err) == assay.Rejected {
			return nil // it is among the altered evidence already
		}
		if err != nil {
			return err
		}
		if d, err := assay.Decode[assay.Disclosure](r.Evidence); err != nil || d.Split != split {
			f.problem("altered", "ledger", id, "the line is of another split than the disclosure")
		}
		return nil
	}, `SELECT d.seq, d.evidence, d.model, coalesce(s.split, '') FROM disclosures d LEFT JOIN seals s ON s.seq = d.seal ORDER BY d.seq`)
	for _, id := range slices.Sorted(maps.Keys(f.kinds)) {
		if f.kinds[id] == assay.KindDisclosure && !told[id] {
			f.problem("missing", "ledger", id, "the disclosure has no line")
		}
	}
	return err
}

func (f *fsck) history(ctx context.Context, q queryer) error {
	at := map[int64]bool{}
	type key struct{ name, what string }
	aliases := map[key]int{}
	tops := map[key]bool{}
	texts := map[textKey]assay.Digest{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var seq int64
		var e Event
		if err := scan(&seq, &e.Name, &e.Number, &e.Action, &e.Stage, &e.Previous, &e.Detail); err != nil {
			return err
		}
		at[seq] = true
		want, text := e.context(nil), assay.Digest(f.entries[seq].Context[textContext])
		if text != "" { // which the journal alone has
			want[textContext] = string(text)
		}
		f.stands("history of model "+e.Name, seq, "registry_", want)
		switch e.Action {
		case "tag", "describe":
			texts[textKey{e.Name, e.Number, e.Action, e.Detail}] = text
		case "untag":
			delete(texts, textKey{e.Name, e.Number, "tag", e.Detail})
		case "alias", "unalias":
			aliases[key{e.Name, e.Detail}] = e.Number
		case "promote", "rollback":
			tops[key{e.Name, string(e.Stage)}] = true
		}
		return nil
	}, `SELECT seq, name, number, action, stage, previous, detail FROM history ORDER BY seq`)
	if err != nil {
		return err
	}
	for _, seq := range slices.Sorted(maps.Keys(f.entries)) {
		if _, ok := f.entries[seq].Context["registry_action"]; ok && !at[seq] {
			f.problem("missing", "history", f.entries[seq].Evidence, "journal entry %d tells of it", seq)
		}
	}
	if err := f.texts(ctx, q, texts); err != nil {
		return err
	}
	held := map[key]int{}
	err = each(ctx, q, func(scan func(...any) error) error {
		var k key
		var n int
		err := scan(&k.name, &k.what, &n)
		held[k] = n
		return err
	}, `SELECT name, alias, number FROM aliases`)
	if err != nil {
		return err
	}
	maps.DeleteFunc(aliases, func(_ key, n int) bool { return n == 0 })
	if !maps.Equal(held, aliases) {
		f.problem("altered", "alias", "", "the aliases are not where the history left them")
	}
	stages := map[key]int{}
	err = each(ctx, q, func(scan func(...any) error) error {
		var k key
		var n int
		err := scan(&k.name, &k.what, &n)
		stages[k] = n
		tops[k] = true
		return err
	}, `SELECT name, stage, number FROM stages`)
	if err != nil {
		return err
	}
	for _, k := range slices.SortedFunc(maps.Keys(tops), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.what, b.what))
	}) {
		top, _, err := holders(ctx, q, k.name, assay.Stage(k.what))
		if err != nil {
			return err
		}
		if stages[k] != top {
			f.problem("altered", "stage", "", "%s of model %q is held by version %d, and its history says %d", k.what, k.name, stages[k], top)
		}
	}
	return nil
}

func (f *fsck) registry(ctx context.Context, q queryer) error {
	last := map[string]int{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var name string
		var number int
		var model, id assay.Digest
		var entries int
		if err := scan(&name, &number, &model, &id, &entries); err != nil {
			return err
		}
		if number != last[name]+1 {
			f.problem("missing", "version", "", "version %d of model %q", last[name]+1, name)
		}
		last[name] = number
		switch {
		case f.kinds[id] != assay.KindModel:
			f.problem("dangling", "version", id, "version %d of model %q stands on evidence that is not there, or of no model", number, name)
		case f.subjects[id] != model:
			f.problem("altered", "version", id, "version %d of model %q is another model file than its evidence says", number, name)
		}
		if entries != 1 {
			f.problem("missing", "history", id, "the registration of version %d of model %q", number, name)
		}
		return nil
	}, `SELECT v.name, v.number, v.model, v.evidence, (SELECT count(*) FROM history h JOIN journal j ON j.seq = h.seq
		WHERE h.name = v.name AND h.number = v.number AND h.action = 'register' AND j.evidence = v.evidence) FROM versions v ORDER BY v.name, v.number`)
	if err != nil {
		return err
	}
	err = each(ctx, q, func(scan func(...any) error) error {
		var name string
		var number int
		if err := scan(&name, &number); err != nil {
			return err
		}
		f.problem("missing", "version", "", "the history registers version %d of model %q", number, name)
		return nil
	}, `SELECT name, number FROM history h WHERE action = 'register' AND NOT EXISTS
		(SELECT 1 FROM versions v WHERE v.name = h.name AND v.number = h.number) ORDER BY seq`)
	if err != nil {
		return err
	}
	return each(ctx, q, func(scan func(...any) error) error {
		var what, name string
		var number int
		if err := scan(&what, &name, &number); err != nil {
			return err
		}
		f.problem("dangling", what, "", "it is of version %d of model %q, which is not there", number, name)
		return nil
	}, `SELECT what, name, number FROM (SELECT 'tag' AS what, name, number FROM tags WHERE number > 0
		UNION SELECT 'stage', name, number FROM stages UNION SELECT 'alias', name, number FROM aliases) r
		WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.name = r.name AND v.number = r.number)
		UNION ALL SELECT 'model', name, 0 FROM models m WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.name = m.name)`)
}
