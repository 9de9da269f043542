package store

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

// checked is evidence that may be stored.
type checked struct {
	assay.Evidence
	canon
}

// check holds evidence against the type of its kind and looks for the blobs that it stands on.
func (s *SQLite) check(ctx context.Context, e assay.Evidence) (checked, error) {
	if e.Parents == nil {
		e.Parents = []assay.Digest{}
	}
	c, err := canonical(e)
	if err != nil {
		return checked{}, err
	}
	k, err := lookupKind(e.Kind, e.Version)
	if err != nil {
		return checked{}, err
	}
	p, err := k.decode(c.payload)
	if err != nil {
		return checked{}, assay.Errorf(assay.Invalid, "%s evidence about %s: %w", e.Kind, e.Subject.Short(), err)
	}
	for _, d := range k.Blobs(p) {
		if _, err := s.blobs.Stat(ctx, d); assay.CodeOf(err) == assay.NotFound {
			return checked{}, assay.Errorf(assay.Invalid, "%s evidence about %s stands on blob %s, which is not in the store", e.Kind, e.Subject.Short(), d.Short())
		} else if err != nil {
			return checked{}, err
		}
	}
	e.Payload = c.payload
	return checked{e, c}, nil
}

// Append implements Archive.
func (s *SQLite) Append(ctx context.Context, circumstances map[string]string, evs ...assay.Evidence) ([]assay.Record, error) {
	cs := make([]checked, len(evs))
	for i, e := range evs {
		var err error
		if cs[i], err = s.check(ctx, e); err != nil {
			return nil, err
		}
		if e.Kind == assay.KindPromotion || e.Kind == assay.KindDisclosure {
			return nil, assay.Errorf(assay.Refused, "%s evidence is written by the store itself, in the transaction that it tells of", e.Kind)
		}
	}
	out := make([]assay.Record, len(cs))
	err := s.write(ctx, "evidence cannot be stored", func(tx *sql.Tx) error {
		for i, c := range cs {
			var err error
			if out[i], _, err = s.append(ctx, tx, circumstances, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// append stores one evidence within a transaction, and reports whether it was new.
func (s *SQLite) append(ctx context.Context, tx *sql.Tx, circumstances map[string]string, c checked) (assay.Record, bool, error) {
	held, err := get(ctx, tx, c.id)
	if err == nil {
		return held, false, nil
	}
	if assay.CodeOf(err) != assay.NotFound {
		return assay.Record{}, false, err
	}
	for _, p := range c.Parents {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM evidence WHERE id = ?`, p).Scan(&n); err != nil {
			return assay.Record{}, false, err
		}
		if n == 0 {
			return assay.Record{}, false, assay.Errorf(assay.Invalid, "%s evidence about %s was derived from %s, which is not in the store",
				c.Kind, c.Subject.Short(), p.Short())
		}
	}
	entry, err := s.note(ctx, tx, c.id, circumstances)
	if err != nil {
		return assay.Record{}, false, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO evidence (seq, id, kind, version, subject, parents, payload) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		entry.Seq, c.id, c.Kind, c.Version, c.Subject, join(c.Parents), c.payload); err != nil {
		return assay.Record{}, false, err
	}
	for _, p := range c.Parents {
		if _, err := tx.ExecContext(ctx, `INSERT INTO parents (parent, child) VALUES (?, ?)`, p, entry.Seq); err != nil {
			return assay.Record{}, false, err
		}
	}
	return assay.Record{ID: c.id, Evidence: c.Evidence, Entry: entry}, true, nil
}

// note appends an entry about an evidence to the journal.
func (s *SQLite) note(ctx context.Context, tx *sql.Tx, id assay.Digest, circumstances map[string]string) (assay.Entry, error) {
	e := assay.Entry{Evidence: id, Producer: strings.ToValidUTF8(s.producer, "\uFFFD"), At: s.clock().UTC().Truncate(time.Microsecond)}
	if len(circumstances) > 0 {
		e.Context = texts(circumstances)
	}
	err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1`).Scan(&e.Seq, &e.Previous)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return e, err
	}
	e.Seq++
	body, hash, err := entryHash(e)
	if err != nil {
		return e, err
	}
	e.Hash = hash
	_, err = tx.ExecContext(ctx, `INSERT INTO journal (seq, evidence, body, hash) VALUES (?, ?, ?, ?)`, e.Seq, e.Evidence, string(body), e.Hash)
	return e, err
}

const selectRecord = `SELECT e.id, e.kind, e.version, e.subject, e.parents, e.payload, j.body, j.hash FROM evidence e JOIN journal j ON j.seq = e.seq `

// scanRecord reads a row of selectRecord. It returns Rejected for evidence whose content does not have its id: nobody decides on what was
// altered in the database.
func scanRecord(scan func(...any) error) (assay.Record, error) {
	var r assay.Record
	var parents string
	var payload, body []byte
	var hash assay.Digest
	if err := scan(&r.ID, &r.Kind, &r.Version, &r.Subject, &parents, &payload, &body, &hash); err != nil {
		return r, err
	}
	r.Parents, r.Payload = split(parents), payload
	if got := idOf(r.Evidence, payload); got != r.ID {
		return r, assay.Errorf(assay.Rejected, "%s evidence %s was altered in the store: its content has the id %s", r.Kind, r.ID.Short(), got.Short()).
			Try("assay fsck names everything that was altered; restore %s from a backup", databaseName)
	}
	var err error
	r.Entry, err = readEntry(body, hash)
	return r, err
}

func get(ctx context.Context, q queryer, id assay.Digest) (assay.Record, error) {
	r, err := scanRecord(q.QueryRowContext(ctx, selectRecord+`WHERE e.id = ?`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, assay.Errorf(assay.NotFound, "evidence %s is not in the store", id.Short()).Try("assay evidence list")
	}
	return r, err
}

// Get implements Archive.
func (s *SQLite) Get(ctx context.Context, id assay.Digest) (assay.Record, error) {
	r, err := get(ctx, s.reads, id)
	return r, fault("evidence cannot be read", err)
}

// Find implements Archive.
func (s *SQLite) Find(ctx context.Context, q Query) ([]assay.Record, error) {
	var where []string
	var args []any
	from := selectRecord
	if q.Windows {
		return s.windows(ctx, q)
	}
	add := func(cond string, arg any) {
		where = append(where, cond)
		args = append(args, arg)
	}
	if q.Parent != "" {
		from += `JOIN parents p ON p.child = e.seq `
		add(`p.parent = ?`, q.Parent)
	}
	if q.Kind != "" {
		add(`e.kind = ?`, q.Kind)
	}
	if q.Subject != "" {
		add(`e.subject = ?`, q.Subject)
	}
	if q.Before > 0 {
		add(`e.seq < ?`, q.Before)
	}
	if len(where) > 0 {
		from += `WHERE ` + strings.Join(where, ` AND `)
	}
	from += ` ORDER BY e.seq DESC`
	if q.Limit > 0 {
		from += ` LIMIT ?`
		args = append(args, q.Limit)
	}
	out := []assay.Record{}
	err := each(ctx, s.reads, func(scan func(...any) error) error {
		r, err := scanRecord(scan)
		out = append(out, r)
		return err
	}, from, args...)
	if err != nil {
		return nil, fault("evidence cannot be listed", err)
	}
	return out, nil
}

// windows are the newest records of windows, through their index: a window may have been recorded at any time.
func (s *SQLite) windows(ctx context.Context, q Query) ([]assay.Record, error) {
	args := []any{q.Subject, q.Kind}
	if q.Parent != "" {
		args = append(args, q.Parent)
	}
	if q.Limit > 0 {
		args = append(args, q.Limit)
	}
	out := []assay.Record{}
	err := each(ctx, s.reads, func(scan func(...any) error) error {
		r, err := scanRecord(scan)
		out = append(out, r)
		return err
	}, windowsQuery(q.Parent != "", q.Limit > 0), args...)
	if err != nil {
		return nil, fault("windows cannot be listed", err)
	}
	return out, nil
}

// windowsQuery is the statement for windows of a subject and a kind, of a parent where one is asked for, and of so many at most. That the numbers are
// materialized lets SQLite take them out of the index: no payload is read but of what is returned.
func windowsQuery(parent, limit bool) string {
	numbers := `SELECT json_extract(CAST(w.payload AS TEXT), '$.window.number') AS number, w.seq FROM evidence w`
	where := ` WHERE w.kind IN ('drift', 'outcome') AND w.subject = ? AND w.kind = ?`
	if parent {
		numbers += ` CROSS JOIN parents p ON p.child = w.seq`
		where += ` AND p.parent = ?`
	}
	newest := `SELECT number, max(seq) AS newest FROM numbers GROUP BY number ORDER BY number DESC`
	if limit {
		newest += ` LIMIT ?`
	}
	return `WITH numbers AS MATERIALIZED (` + numbers + where + `) ` +
		strings.Replace(selectRecord, `FROM evidence e`, `FROM (`+newest+`) n CROSS JOIN evidence e ON e.seq = n.newest`, 1) + `ORDER BY n.number DESC`
}

// Resolve implements Archive.
func (s *SQLite) Resolve(ctx context.Context, prefix string) (assay.Digest, error) {
	h := strings.TrimPrefix(prefix, "sha256:")
	if len(h) < 4 || len(h) > 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", assay.Errorf(assay.Invalid, "%.80q does not name evidence: want at least 4 lower-case hex digits of its id", prefix).Try("assay evidence list")
	}
	var ids []assay.Digest
	err := each(ctx, s.reads, func(scan func(...any) error) error {
		var d assay.Digest
		err := scan(&d)
		ids = append(ids, d)
		return err
	}, `SELECT id FROM evidence WHERE id >= ? AND id < ? ORDER BY id LIMIT 6`, "sha256:"+h, "sha256:"+h+"g")
	switch {
	case err != nil:
		return "", fault("evidence cannot be looked up", err)
	case len(ids) == 0:
		return "", assay.Errorf(assay.NotFound, "no evidence has an id that begins with %s", h).Try("assay evidence list")
	case len(ids) > 1:
		names := []string{}
		for _, d := range ids[:min(5, len(ids))] {
			names = append(names, d.Hex()[:min(64, len(h)+4)])
		}
		if len(ids) > 5 {
			names = append(names, "…")
		}
		return "", assay.Errorf(assay.Invalid, "several ids begin with %s: %s", h, strings.Join(names, ", ")).Try("give more digits")
	}
	return ids[0], nil
}

// Journal implements Archive.
func (s *SQLite) Journal(ctx context.Context, after int64, limit int) ([]assay.Entry, error) {
	if limit <= 0 {
		limit = -1
	}
	out := []assay.Entry{}
	err := each(ctx, s.reads, func(scan func(...any) error) error {
		var body []byte
		var hash assay.Digest
		if err := scan(&body, &hash); err != nil {
			return err
		}
		e, err := readEntry(body, hash)
		out = append(out, e)
		return err
	}, `SELECT body, hash FROM journal WHERE seq > ? ORDER BY seq LIMIT ?`, after, limit)
	if err != nil {
		return nil, fault("the journal cannot be read", err)
	}
	return out, nil
}

// Head implements Archive.
func (s *SQLite) Head(ctx context.Context) (int64, error) {
	var n int64
	if err := s.reads.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM journal`).Scan(&n); err != nil {
		return 0, fault("the journal cannot be read", err)
	}
	return n, nil
}

// Changes implements Registry. Both are the last key of a table, read in one look.
func (s *SQLite) Changes(ctx context.Context) (Mark, error) {
	var m Mark
	err := s.reads.QueryRowContext(ctx, `SELECT (SELECT coalesce(max(seq), 0) FROM journal), (SELECT coalesce(max(seq), 0) FROM history)`).
		Scan(&m.Journal, &m.Registry)
	return m, fault("the journal cannot be read", err)
}

// Blobs implements Archive.
func (s *SQLite) Blobs() blob.Store { return unsealed{s.blobs, s} }

// unsealed is the blob store without the labels of sealed test sets.
type unsealed struct {
	*blob.Dir
	s *SQLite
}

func (u unsealed) Open(ctx context.Context, d assay.Digest) (io.ReadCloser, error) {
	var n int
	if err := u.s.reads.QueryRowContext(ctx, `SELECT count(*) FROM seals WHERE labels = ?`, d).Scan(&n); err != nil {
		return nil, fault("the seals cannot be read", err)
	}
	if n > 0 {
		return nil, assay.Errorf(assay.Refused, "blob %s holds sealed labels", d.Short()).Try("assay eval --final")
	}
	return u.Dir.Open(ctx, d)
}

func join(ds []assay.Digest) string {
	ss := make([]string, len(ds))
	for i, d := range ds {
		ss[i] = string(d)
	}
	return strings.Join(ss, " ")
}

func split(s string) []assay.Digest {
	out := []assay.Digest{}
	for _, f := range strings.Fields(s) {
		out = append(out, assay.Digest(f))
	}
	return slices.Clip(out)
}
