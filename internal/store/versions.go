package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/assay-ml/assay"
)

// Register implements Registry.
func (s *SQLite) Register(ctx context.Context, r Registration) (Version, bool, error) {
	var ps assay.Problems
	checkTags(&ps, r.Tags)
	checkText(&ps, r.Description)
	checkName(&ps, "model's name", r.Name)
	if err := ps.Err(assay.Invalid, "a version cannot be registered"); err != nil {
		return Version{}, false, err
	}
	var out Version
	created := false
	err := s.write(ctx, "the version cannot be registered", func(tx *sql.Tx) error {
		ev, err := get(ctx, tx, r.Evidence)
		if err != nil {
			return err
		}
		if ev.Kind != assay.KindModel {
			return assay.Errorf(assay.Invalid, "evidence %s is a %s, not a model", r.Evidence.Short(), ev.Kind).Try("assay evidence list --kind model")
		}
		held, err := versions(ctx, tx, `WHERE v.name = ? AND v.model = ?`, r.Name, ev.Subject)
		if err != nil {
			return err
		}
		if len(held) > 0 {
			out = held[0]
			return nil
		}
		var number int
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) + 1 FROM versions WHERE name = ?`, r.Name).Scan(&number); err != nil {
			return err
		}
		entry, err := s.event(ctx, tx, Event{Name: r.Name, Number: number, Action: "register"}, r.Evidence, r.Context)
		if err != nil {
			return err
		}
		at := entry.At.Format(time.RFC3339Nano)
		if _, err := tx.ExecContext(ctx, `INSERT INTO models (name, description, created) VALUES (?, '', ?) ON CONFLICT DO NOTHING`, r.Name, at); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO versions (name, number, model, evidence, description, created) VALUES (?, ?, ?, ?, ?, ?)`,
			r.Name, number, ev.Subject, r.Evidence, r.Description, at); err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO tags (name, number, key, value) VALUES (?, ?, ?, ?)`, r.Name, number, k, r.Tags[k]); err != nil {
				return err
			}
			value := r.Tags[k]
			if _, err := s.event(ctx, tx, Event{Name: r.Name, Number: number, Action: "tag", Detail: k, text: &value}, r.Evidence, r.Context); err != nil {
				return err
			}
		}
		if r.Description != "" {
			if _, err := s.event(ctx, tx, Event{Name: r.Name, Number: number, Action: "describe", text: &r.Description}, r.Evidence, r.Context); err != nil {
				return err
			}
		}
		created = true
		out, err = version(ctx, tx, r.Name, number)
		return err
	})
	if err != nil {
		return Version{}, false, err
	}
	return out, created, nil
}

// event writes a line of history and the journal entry on which it stands.
func (s *SQLite) event(ctx context.Context, tx *sql.Tx, e Event, about assay.Digest, circumstances map[string]string) (assay.Entry, error) {
	entry, err := s.note(ctx, tx, about, e.context(circumstances))
	if err != nil {
		return entry, err
	}
	return entry, e.write(ctx, tx, entry.Seq)
}

func (e Event) write(ctx context.Context, tx *sql.Tx, seq int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO history (seq, name, number, action, stage, previous, detail) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		seq, e.Name, e.Number, e.Action, e.Stage, e.Previous, e.Detail)
	return err
}

// textContext is where the journal has the digest of the text that an event set: the value of a tag, or a description.
const textContext = "registry_text"

// context is what the journal repeats of a line of history, so that altering the line shows, beside the circumstances.
func (e Event) context(circumstances map[string]string) map[string]string {
	c := texts(circumstances)
	c["registry_name"], c["registry_version"], c["registry_action"] = e.Name, strconv.Itoa(e.Number), e.Action
	if e.Stage != "" {
		c["registry_stage"] = string(e.Stage)
	}
	if e.Previous != 0 {
		c["registry_previous"] = strconv.Itoa(e.Previous)
	}
	if e.Detail != "" {
		c["registry_detail"] = e.Detail
	}
	if e.text != nil {
		c[textContext] = string(assay.DigestOf([]byte(*e.text)))
	}
	return c
}

// Models implements Registry.
func (s *SQLite) Models(ctx context.Context) ([]Model, error) {
	out := []Model{}
	err := s.snapshot(ctx, "the models cannot be listed", func(tx *sql.Tx) error {
		at := map[string]int{}
		err := each(ctx, tx, func(scan func(...any) error) error {
			m := Model{Tags: map[string]string{}}
			var created string
			if err := scan(&m.Name, &m.Description, &created, &m.Latest); err != nil {
				return err
			}
			var err error
			m.CreatedAt, err = time.Parse(time.RFC3339Nano, created)
			at[m.Name] = len(out)
			out = append(out, m)
			return err
		}, `SELECT m.name, m.description, m.created, (SELECT coalesce(max(number), 0) FROM versions v WHERE v.name = m.name) FROM models m ORDER BY m.name`)
		if err != nil {
			return err
		}
		return each(ctx, tx, func(scan func(...any) error) error {
			var name, key, value string
			if err := scan(&name, &key, &value); err != nil {
				return err
			}
			if i, ok := at[name]; ok {
				out[i].Tags[key] = value
			}
			return nil
		}, `SELECT name, key, value FROM tags WHERE number = 0`)
	})
	return out, err
}

// snapshot runs fn in one read transaction, so that all its queries see the store at one moment.
func (s *SQLite) snapshot(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fault(what, err)
	}
	defer tx.Rollback()
	return fault(what, fn(tx))
}

// versions returns the versions that the condition picks, by name and newest first, with all that belongs to them.
func versions(ctx context.Context, q queryer, where string, args ...any) ([]Version, error) {
	out := []Version{}
	err := each(ctx, q, func(scan func(...any) error) error {
		v := Version{Stage: assay.StageNone, Stages: []assay.Stage{}, Aliases: []string{}, Tags: map[string]string{}}
		var created string
		if err := scan(&v.Name, &v.Number, &v.Model, &v.Evidence, &v.Description, &created); err != nil {
			return err
		}
		var err error
		v.CreatedAt, err = time.Parse(time.RFC3339Nano, created)
		out = append(out, v)
		return err
	}, `SELECT v.name, v.number, v.model, v.evidence, v.description, v.created FROM versions v `+where+` ORDER BY v.name, v.number DESC`, args...)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if err := out[i].complete(ctx, q); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// complete reads the stages, aliases and tags of v.
func (v *Version) complete(ctx context.Context, q queryer) error {
	err := each(ctx, q, func(scan func(...any) error) error {
		var stage assay.Stage
		err := scan(&stage)
		v.Stages = append(v.Stages, stage)
		return err
	}, `SELECT stage FROM stages WHERE name = ? AND number = ? ORDER BY stage`, v.Name, v.Number)
	if err != nil {
		return err
	}
	switch {
	case len(v.Stages) > 0:
		v.Stage = v.Stages[0] // "production" sorts before "staging"
	default:
		var moves int
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM history WHERE name = ? AND number = ? AND stage <> ''`, v.Name, v.Number).Scan(&moves); err != nil {
			return err
		}
		if moves > 0 {
			v.Stage = assay.StageArchived
		}
	}
	err = each(ctx, q, func(scan func(...any) error) error {
		var alias string
		err := scan(&alias)
		v.Aliases = append(v.Aliases, alias)
		return err
	}, `SELECT alias FROM aliases WHERE name = ? AND number = ? ORDER BY alias`, v.Name, v.Number)
	if err != nil {
		return err
	}
	return each(ctx, q, func(scan func(...any) error) error {
		var k, t string
		err := scan(&k, &t)
		v.Tags[k] = t
		return err
	}, `SELECT key, value FROM tags WHERE name = ? AND number = ?`, v.Name, v.Number)
}

func version(ctx context.Context, q queryer, name string, number int) (Version, error) {
	vs, err := versions(ctx, q, `WHERE v.name = ? AND v.number = ?`, name, number)
	if err != nil {
		return Version{}, err
	}
	if len(vs) == 0 {
		return Version{}, assay.Errorf(assay.NotFound, "model %q has no version %d", name, number).Try("assay model list")
	}
	return vs[0], nil
}

// Versions implements Registry.
func (s *SQLite) Versions(ctx context.Context, name string) ([]Version, error) {
	var out []Version
	err := s.snapshot(ctx, "the versions cannot be listed", func(tx *sql.Tx) error {
		var err error
		if out, err = versions(ctx, tx, `WHERE v.name = ?`, name); err == nil && len(out) == 0 {
			err = assay.Errorf(assay.NotFound, "no model is registered as %q", name).Try("assay register")
		}
		return err
	})
	return out, err
}

// Version implements Registry.
func (s *SQLite) Version(ctx context.Context, name string, number int) (Version, error) {
	var out Version
	err := s.snapshot(ctx, "the version cannot be read", func(tx *sql.Tx) error {
		var err error
		out, err = version(ctx, tx, name, number)
		return err
	})
	return out, err
}

// VersionsOf implements Registry.
func (s *SQLite) VersionsOf(ctx context.Context, model assay.Digest) ([]Version, error) {
	var out []Version
	err := s.snapshot(ctx, "the versions cannot be listed", func(tx *sql.Tx) error {
		var err error
		out, err = versions(ctx, tx, `WHERE v.model = ?`, model)
		return err
	})
	return out, err
}

// Holder implements Registry.
func (s *SQLite) Holder(ctx context.Context, name string, stage assay.Stage) (Version, error) {
	var out Version
	err := s.snapshot(ctx, "the stage cannot be read", func(tx *sql.Tx) error {
		number, err := pointer(ctx, tx, `SELECT number FROM stages WHERE name = ? AND stage = ?`, name, stage)
		if err != nil {
			return err
		}
		if number == 0 {
			return assay.Errorf(assay.NotFound, "no version of model %q is in %s", name, stage).Try("assay promote %s --to %s", name, stage)
		}
		out, err = version(ctx, tx, name, number)
		return err
	})
	return out, err
}

// Alias implements Registry.
func (s *SQLite) Alias(ctx context.Context, name, alias string) (Version, error) {
	var out Version
	err := s.snapshot(ctx, "the alias cannot be read", func(tx *sql.Tx) error {
		number, err := pointer(ctx, tx, `SELECT number FROM aliases WHERE name = ? AND alias = ?`, name, alias)
		if err != nil {
			return err
		}
		if number == 0 {
			return assay.Errorf(assay.NotFound, "model %q has no alias %q", name, alias).Try("assay model list")
		}
		out, err = version(ctx, tx, name, number)
		return err
	})
	return out, err
}

// pointer reads the number that a stage or an alias points at: 0 for none.
func pointer(ctx context.Context, q queryer, query string, args ...any) (int, error) {
	var n int
	err := q.QueryRowContext(ctx, query, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// SetAlias implements Registry.
func (s *SQLite) SetAlias(ctx context.Context, a AliasMove) error {
	var ps assay.Problems
	checkName(&ps, "model's name", a.Name)
	checkName(&ps, "alias", a.Alias)
	if a.Number != 0 { // what an earlier build let through can be taken away
		checkAlias(&ps, a.Alias)
	}
	if err := ps.Err(assay.Invalid, "the alias cannot be set"); err != nil {
		return err
	}
	return s.write(ctx, "the alias cannot be set", func(tx *sql.Tx) error {
		held, err := pointer(ctx, tx, `SELECT number FROM aliases WHERE name = ? AND alias = ?`, a.Name, a.Alias)
		if err != nil {
			return err
		}
		if a.Expect != nil && *a.Expect != held {
			return moved("alias "+a.Alias, a.Name, held, *a.Expect)
		}
		if held == a.Number {
			return nil
		}
		e := Event{Name: a.Name, Number: a.Number, Action: "alias", Previous: held, Detail: a.Alias}
		about := a.Number
		if a.Number == 0 {
			e.Action, about = "unalias", held
		}
		v, err := version(ctx, tx, a.Name, about)
		if err != nil {
			return err
		}
		if _, err := s.event(ctx, tx, e, v.Evidence, a.Context); err != nil {
			return err
		}
		if a.Number == 0 {
			_, err = tx.ExecContext(ctx, `DELETE FROM aliases WHERE name = ? AND alias = ?`, a.Name, a.Alias)
		} else {
			_, err = tx.ExecContext(ctx, `INSERT INTO aliases (name, alias, number) VALUES (?, ?, ?)
				ON CONFLICT (name, alias) DO UPDATE SET number = excluded.number`, a.Name, a.Alias, a.Number)
		}
		return err
	})
}

// moved is the refusal of a compare-and-set.
func moved(what, name string, held, expected int) error {
	say := func(n int) string {
		if n == 0 {
			return "no version"
		}
		return "version " + strconv.Itoa(n)
	}
	return assay.Errorf(assay.Refused, "%s of model %q is held by %s, not by %s as expected: somebody else moved it", what, name, say(held), say(expected)).
		Try("look at it again (assay model list), then decide anew")
}

// about returns the version's evidence, or for number 0 that of the model's newest version: what a journal entry can be about.
func about(ctx context.Context, tx *sql.Tx, name string, number int) (assay.Digest, error) {
	if number != 0 {
		v, err := version(ctx, tx, name, number)
		return v.Evidence, err
	}
	var id assay.Digest
	err := tx.QueryRowContext(ctx, `SELECT evidence FROM versions WHERE name = ? ORDER BY number DESC LIMIT 1`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", assay.Errorf(assay.NotFound, "no model is registered as %q", name).Try("assay register")
	}
	return id, err
}

// SetTags implements Registry.
func (s *SQLite) SetTags(ctx context.Context, name string, number int, set map[string]string, remove ...string) error {
	var ps assay.Problems
	checkTags(&ps, set)
	if err := ps.Err(assay.Invalid, "the tags cannot be set"); err != nil {
		return err
	}
	return s.write(ctx, "the tags cannot be set", func(tx *sql.Tx) error {
		id, err := about(ctx, tx, name, number)
		if err != nil {
			return err
		}
		for _, k := range remove {
			res, err := tx.ExecContext(ctx, `DELETE FROM tags WHERE name = ? AND number = ? AND key = ?`, name, number, k)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				continue
			}
			if _, err := s.event(ctx, tx, Event{Name: name, Number: number, Action: "untag", Detail: k}, id, nil); err != nil {
				return err
			}
		}
		for _, k := range slices.Sorted(maps.Keys(set)) {
			res, err := tx.ExecContext(ctx, `INSERT INTO tags (name, number, key, value) VALUES (?, ?, ?, ?)
				ON CONFLICT (name, number, key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value`, name, number, k, set[k])
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				continue
			}
			value := set[k]
			if _, err := s.event(ctx, tx, Event{Name: name, Number: number, Action: "tag", Detail: k, text: &value}, id, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetTag implements Registry.
func (s *SQLite) SetTag(ctx context.Context, t TagMove) error {
	var ps assay.Problems
	checkTags(&ps, map[string]string{t.Key: t.Value})
	if err := ps.Err(assay.Invalid, "the tag cannot be set"); err != nil {
		return err
	}
	return s.write(ctx, "the tag cannot be set", func(tx *sql.Tx) error {
		id, err := about(ctx, tx, t.Name, t.Number)
		if err != nil {
			return err
		}
		var held string
		err = tx.QueryRowContext(ctx, `SELECT value FROM tags WHERE name = ? AND number = ? AND key = ?`, t.Name, t.Number, t.Key).Scan(&held)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if held != t.Expect {
			return assay.Errorf(assay.Refused, "tag %q of %s:%d has another value than was expected", t.Key, t.Name, t.Number)
		}
		if held == t.Value && err == nil {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO tags (name, number, key, value) VALUES (?, ?, ?, ?)
			ON CONFLICT (name, number, key) DO UPDATE SET value = excluded.value`, t.Name, t.Number, t.Key, t.Value); err != nil {
			return err
		}
		_, err = s.event(ctx, tx, Event{Name: t.Name, Number: t.Number, Action: "tag", Detail: t.Key, text: &t.Value}, id, nil)
		return err
	})
}

// SetDescription implements Registry.
func (s *SQLite) SetDescription(ctx context.Context, name string, number int, text string) error {
	var ps assay.Problems
	checkText(&ps, text)
	if err := ps.Err(assay.Invalid, "the description cannot be set"); err != nil {
		return err
	}
	return s.write(ctx, "the description cannot be set", func(tx *sql.Tx) error {
		id, err := about(ctx, tx, name, number)
		if err != nil {
			return err
		}
		update, args := `UPDATE versions SET description = ?1 WHERE name = ?2 AND number = ?3 AND description <> ?1`, []any{text, name, number}
		if number == 0 {
			update, args = `UPDATE models SET description = ?1 WHERE name = ?2 AND description <> ?1`, []any{text, name}
		}
		res, err := tx.ExecContext(ctx, update, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = s.event(ctx, tx, Event{Name: name, Number: number, Action: "describe", text: &text}, id, nil)
		return err
	})
}

// History implements Registry.
func (s *SQLite) History(ctx context.Context, name string, limit int) ([]Event, error) {
	if limit <= 0 {
		limit = -1
	}
	out := []Event{}
	err := each(ctx, s.reads, func(scan func(...any) error) error {
		var e Event
		var body []byte
		var hash assay.Digest
		if err := scan(&e.Name, &e.Number, &e.Action, &e.Stage, &e.Previous, &e.Detail, &body, &hash); err != nil {
			return err
		}
		var err error
		e.Entry, err = readEntry(body, hash)
		out = append(out, e)
		return err
	}, `SELECT h.name, h.number, h.action, h.stage, h.previous, h.detail, j.body, j.hash FROM history h JOIN journal j ON j.seq = h.seq
		WHERE h.name = ? ORDER BY h.seq DESC LIMIT ?`, name, limit)
	if err != nil {
		return nil, fault("the history cannot be read", err)
	}
	return out, nil
}
