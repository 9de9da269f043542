package store

import (
	"context"
	"database/sql"
	"io"
	"strconv"

	"github.com/assay-ml/assay"
)

// Promote implements Registry.
func (s *SQLite) Promote(ctx context.Context, m Move) (assay.Record, error) {
	var ps assay.Problems
	checkStage(&ps, m.Stage)
	if _, err := assay.ParseDigest(string(m.Verdict)); err != nil {
		ps.Add("verdict %s", err)
	}
	if _, err := assay.ParseDigest(string(m.Policy)); err != nil {
		ps.Add("policy %s", err)
	}
	if err := ps.Err(assay.Invalid, "the version cannot be promoted"); err != nil {
		return assay.Record{}, err
	}
	var out assay.Record
	err := s.write(ctx, "the version cannot be promoted", func(tx *sql.Tx) error {
		v, err := version(ctx, tx, m.Name, m.Number)
		if err != nil {
			return err
		}
		if err := opens(ctx, tx, v, m); err != nil {
			return err
		}
		if err := ledgerWhole(ctx, tx); err != nil {
			return err
		}
		held, err := pointer(ctx, tx, `SELECT number FROM stages WHERE name = ? AND stage = ?`, m.Name, m.Stage)
		if err != nil {
			return err
		}
		if held == m.Number {
			out, err = lastMove(ctx, tx, m.Name, m.Stage)
			return err
		}
		if m.Expect != nil && *m.Expect != held {
			return moved(string(m.Stage), m.Name, held, *m.Expect)
		}
		if err := unmoved(ctx, tx, v, m); err != nil {
			return err
		}
		out, err = s.move(ctx, tx, v, held, []assay.Digest{v.Evidence, m.Verdict}, m.Context,
			assay.Promotion{Name: m.Name, Version: m.Number, Stage: m.Stage, From: v.Stage, Previous: held, Verdict: m.Verdict})
		return err
	})
	if err != nil {
		return assay.Record{}, err
	}
	return out, nil
}

// opens reads the verdict again and refuses unless it opens the stage to this version under this policy.
func opens(ctx context.Context, tx *sql.Tx, v Version, m Move) error {
	r, err := get(ctx, tx, m.Verdict)
	if err != nil {
		return err
	}
	if r.Kind != assay.KindVerdict {
		return assay.Errorf(assay.Refused, "evidence %s is a %s, not a verdict", m.Verdict.Short(), r.Kind).Try("assay gate explain")
	}
	j, err := assay.Decode[assay.Judgement](r.Evidence)
	if err != nil {
		return err
	}
	var ps assay.Problems
	if r.Subject != v.Model {
		ps.Add("the verdict is about model %s, and version %d is %s", r.Subject.Short(), v.Number, v.Model.Short())
	}
	if j.Policy != m.Policy {
		ps.Add("the verdict applies policy %s, and %s is required", j.Policy.Short(), m.Policy.Short())
	}
	if j.Stage != m.Stage {
		ps.Add("the verdict is for %s, not for %s", j.Stage, m.Stage)
	}
	if j.Verdict != assay.Pass {
		ps.Add("the verdict is %s", j.Verdict)
	}
	err = ps.Err(assay.Refused, "the gate stays shut for version "+strconv.Itoa(v.Number)+" of model "+strconv.Quote(v.Name))
	if err == nil {
		return nil
	}
	return err.(*assay.Error).Try("assay gate explain %s --to %s", v.Name, m.Stage)
}

// unmoved refuses when something that a judgement may rest on came after it was made: evidence about the model or its data, or a move
// of one of the name's stages.
func unmoved(ctx context.Context, tx *sql.Tx, v Version, m Move) error {
	if m.Seen == nil {
		return nil
	}
	r, err := get(ctx, tx, v.Evidence)
	if err != nil {
		return err
	}
	model, err := assay.Decode[assay.Model](r.Evidence)
	if err != nil {
		return err
	}
	var since int
	err = tx.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM journal j JOIN evidence e ON e.id = j.evidence WHERE j.seq > ?1 AND e.subject IN (?2, ?3) AND e.kind NOT IN (?4, ?5))
		+ (SELECT count(*) FROM history WHERE name = ?6 AND seq > ?1 AND stage <> '')`,
		*m.Seen, v.Model, model.Data, assay.KindVerdict, assay.KindCI, v.Name).Scan(&since)
	if err != nil || since == 0 {
		return err
	}
	return assay.Errorf(assay.Refused, "the evidence about version %d of model %q moved after the verdict was made", v.Number, v.Name).
		Try("assay promote %s:%d --to %s", v.Name, v.Number, m.Stage)
}

// Rollback implements Registry.
func (s *SQLite) Rollback(ctx context.Context, b Back) (assay.Record, error) {
	var ps assay.Problems
	checkStage(&ps, b.Stage)
	if err := ps.Err(assay.Invalid, "the stage cannot be rolled back"); err != nil {
		return assay.Record{}, err
	}
	var whole Version // whose model file is read before the transaction, which keeps other writers waiting
	err := s.snapshot(ctx, "the stage cannot be rolled back", func(tx *sql.Tx) error {
		held, previous, err := holders(ctx, tx, b.Name, b.Stage)
		if err == nil && previous > 0 && (b.Expect == nil || *b.Expect == held) {
			whole, err = version(ctx, tx, b.Name, previous)
		}
		return err
	})
	if err == nil && whole.Number > 0 {
		err = ModelWhole(ctx, s, whole)
	}
	if err != nil {
		return assay.Record{}, err
	}
	var out assay.Record
	err = s.write(ctx, "the stage cannot be rolled back", func(tx *sql.Tx) error {
		held, previous, err := holders(ctx, tx, b.Name, b.Stage)
		if err != nil {
			return err
		}
		if b.Expect != nil && *b.Expect != held {
			return moved(string(b.Stage), b.Name, held, *b.Expect)
		}
		if previous == 0 {
			return assay.Errorf(assay.Refused, "no version of model %q held %s before", b.Name, b.Stage).Try("assay model list")
		}
		if previous != whole.Number {
			return assay.Errorf(assay.Refused, "%s of model %q moved while its version %d was looked at", b.Stage, b.Name, whole.Number).Try("assay model history %s", b.Name)
		}
		v, err := version(ctx, tx, b.Name, previous)
		if err != nil {
			return err
		}
		out, err = s.move(ctx, tx, v, held, []assay.Digest{v.Evidence}, b.Context,
			assay.Promotion{Name: b.Name, Version: previous, Stage: b.Stage, From: v.Stage, Previous: held, Rollback: true})
		return err
	})
	if err != nil {
		return assay.Record{}, err
	}
	return out, nil
}

// ModelWhole reads the model file of a version to its end. It fails with rejected when that is gone or was altered: the proof is of that
// very file, so a version without it may hold no stage.
func ModelWhole(ctx context.Context, st Store, v Version) error {
	r, err := st.Get(ctx, v.Evidence)
	if err != nil {
		return err
	}
	m, err := assay.Decode[assay.Model](r.Evidence)
	if err != nil {
		return err
	}
	f, err := st.Blobs().Open(ctx, m.File.Digest)
	if err == nil {
		_, err = io.Copy(io.Discard, f)
		f.Close()
	}
	if err != nil {
		return assay.Errorf(assay.Rejected, "%s:%d stays where it is: its model file %s is not in the store as it was registered: %w", v.Name, v.Number, m.File.Name, err).
			Try("assay fsck names what is missing or altered; restore that file of the store from a backup")
	}
	return nil
}

// move writes the promotion's evidence and history, and hands the stage over.
func (s *SQLite) move(ctx context.Context, tx *sql.Tx, v Version, held int, parents []assay.Digest, circumstances map[string]string, p assay.Promotion) (assay.Record, error) {
	ev, err := Evidence(assay.KindPromotion, v.Model, parents, p)
	if err != nil {
		return assay.Record{}, err
	}
	c, err := s.check(ctx, ev)
	if err != nil {
		return assay.Record{}, err
	}
	e := Event{Name: v.Name, Number: v.Number, Action: "promote", Stage: p.Stage, Previous: held}
	if p.Rollback {
		e.Action = "rollback"
	}
	r, isNew, err := s.append(ctx, tx, e.context(circumstances), c)
	if err != nil {
		return assay.Record{}, err
	}
	if isNew {
		err = e.write(ctx, tx, r.Entry.Seq)
	} else { // the same move happened before, and another one since: its evidence is the same, the event is a new one
		_, err = s.event(ctx, tx, e, r.ID, circumstances)
	}
	if err != nil {
		return assay.Record{}, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO stages (name, stage, number) VALUES (?, ?, ?)
		ON CONFLICT (name, stage) DO UPDATE SET number = excluded.number`, v.Name, p.Stage, v.Number)
	return r, err
}

// lastMove returns the evidence of the move that gave the stage to its holder.
func lastMove(ctx context.Context, q queryer, name string, stage assay.Stage) (assay.Record, error) {
	var id assay.Digest
	err := q.QueryRowContext(ctx, `SELECT j.evidence FROM history h JOIN journal j ON j.seq = h.seq
		WHERE h.name = ? AND h.stage = ? ORDER BY h.seq DESC LIMIT 1`, name, stage).Scan(&id)
	if err != nil {
		return assay.Record{}, err
	}
	return get(ctx, q, id)
}

// holders replays the history of a stage: a promotion puts a version on top, a rollback takes it off again. It returns the version on
// top and the one below it, 0 for none.
func holders(ctx context.Context, q queryer, name string, stage assay.Stage) (top, below int, err error) {
	var stack []int
	err = each(ctx, q, func(scan func(...any) error) error {
		var number int
		var action string
		if err := scan(&number, &action); err != nil {
			return err
		}
		if action == "rollback" && len(stack) > 0 {
			stack = stack[:len(stack)-1]
		} else {
			stack = append(stack, number)
		}
		return nil
	}, `SELECT number, action FROM history WHERE name = ? AND stage = ? ORDER BY seq`, name, stage)
	if n := len(stack); n > 0 {
		top = stack[n-1]
		if n > 1 {
			below = stack[n-2]
		}
	}
	return top, below, err
}
